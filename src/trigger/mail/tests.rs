use serde_json::json;

use super::*;
use crate::secrets::Secret;

const ADDRESS: &str = "look-here-4f9a2c7d1b@doorman.acme.com";
const FROM: &str = "Hugging Face <gated_user_access_request@notifications.huggingface.co>";

/// A mail of the Hub as SES reports it, after `change`.
fn mail(change: impl FnOnce(&mut Value)) -> Value {
    let mut mail = json!({
        "mail": {"timestamp": "2026-11-27T12:00:03.100Z", "source": "bounce@notifications.huggingface.co", "messageId": "m1",
            "destination": [ADDRESS], "headersTruncated": false,
            "headers": [{"name": "From", "value": FROM}, {"name": "Subject", "value": "x"}],
            "commonHeaders": {"from": [FROM], "to": [ADDRESS], "subject": "ada requests access to acme/model"}},
        "receipt": {"timestamp": "2026-11-27T12:00:03.100Z", "recipients": [ADDRESS],
            "spamVerdict": {"status": "PASS"}, "virusVerdict": {"status": "PASS"}, "spfVerdict": {"status": "PASS"},
            "dkimVerdict": {"status": "PASS"}, "dmarcVerdict": {"status": "PASS"},
            "action": {"type": "Lambda", "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:doorman"}},
    });
    change(&mut mail);
    mail
}

fn verify_from(mail: &Value, from: &MailFrom) -> Result<Mail, Refused> {
    let secret = Secret::for_mail("Look-Here-4f9a2c7d1b").expect("a local part");
    let secrets = AcceptedSecrets::new([&secret]).expect("random bytes");
    let event = json!({"Records": [{"eventSource": "aws:ses", "eventVersion": "1.0", "ses": mail}]});
    let mails = read(event.as_object().expect("an object")).expect("mails");
    let [received]: [_; 1] = mails.try_into().expect("one mail");
    received?.verify(&secrets, from)
}

fn verify(change: impl FnOnce(&mut Value)) -> Result<Mail, Refused> {
    verify_from(&mail(change), &MailFrom::default())
}

/// Sets a value of the mail.
fn with(place: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |mail| *mail.pointer_mut(place).expect("a place") = value
}

#[test]
fn only_a_verified_mail_may_prompt_a_look() {
    assert!(verify(|_| ()).is_ok());
    let upper = ADDRESS.to_ascii_uppercase();
    let ok: [(&'static str, Value); 8] = [
        ("/receipt/recipients", json!(["other@doorman.acme.com", upper])),
        ("/receipt/spamVerdict/status", json!("GRAY")),
        ("/receipt/virusVerdict/status", json!("DISABLED")),
        ("/receipt/dkimVerdict/status", json!("GRAY")),
        ("/mail/commonHeaders/from", json!(["x@HuggingFace.co"])),
        ("/mail/commonHeaders/from", json!(["\"Face, Hugging (via x@evil.com)\" <x@huggingface.co>"])),
        ("/mail/headersTruncated", json!(true)),
        ("/mail/headers", json!([])),
    ];
    for (place, value) in ok {
        assert!(verify(with(place, value.clone())).is_ok(), "{place}: {value}");
    }
    let two_headers = json!([{"name": "From", "value": FROM}, {"name": "from", "value": "x@evil.com"}]);
    let refused: [(&'static str, Value, Refused); 22] = [
        ("/receipt/recipients", json!(["look-here-4f9a2c7d1@doorman.acme.com"]), Refused::Recipient),
        ("/receipt/recipients", json!(["doorman.acme.com"]), Refused::Recipient),
        ("/receipt/recipients", json!([]), Refused::Recipient),
        ("/receipt/spamVerdict/status", json!("FAIL"), Refused::Harmful),
        ("/receipt/virusVerdict/status", json!("FAIL"), Refused::Harmful),
        ("/receipt/dmarcVerdict/status", json!("FAIL"), Refused::Unauthenticated),
        ("/receipt/dmarcVerdict/status", json!("GRAY"), Refused::Unauthenticated),
        ("/receipt/dmarcVerdict", json!({}), Refused::Unauthenticated),
        ("/mail/headers", two_headers, Refused::Sender),
        ("/mail/commonHeaders/from", json!([FROM, "x@evil.com"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!([]), Refused::Sender),
        ("/mail/commonHeaders/from", Value::Null, Refused::Sender),
        ("/mail/commonHeaders/from", json!(["x@evil.com"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["x@evilhuggingface.co"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["x@huggingface.co.evil.com"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["\"a@huggingface.co\" <x@evil.com>"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["x@evil.com, a@huggingface.co"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["<x@evil.com>, <a@huggingface.co>"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["x@evil.com <a@huggingface.co>"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["\"x@evil.com\"@huggingface.co"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["\"a\" <x@evil.com> \"b\" <a@huggingface.co>"]), Refused::Sender),
        ("/mail/commonHeaders/from", json!(["@huggingface.co"]), Refused::Sender),
    ];
    for (place, value, why) in refused {
        assert_eq!(verify(with(place, value.clone())), Err(why), "{place}: {value}");
    }
}

/// Each field `From`, and the address that is read from it. Real senders use the plain forms. What could be read in two ways is
/// refused, also if it is legal (RFC 5322, 3.4).
#[test]
fn sender_is_read_from_its_plain_forms_only() {
    let hub = Some("noreply@huggingface.co");
    let cases = [
        ("noreply@huggingface.co", hub),
        ("<noreply@huggingface.co>", hub),
        ("Hugging Face <noreply@huggingface.co>", hub),
        ("Hugging Face<noreply@huggingface.co>", hub),
        ("\"Hugging Face\" <noreply@huggingface.co>", hub),
        ("\"Face, Hugging\" <noreply@huggingface.co>", hub),
        ("\"Hugging Face (via x@evil.com)\" <noreply@huggingface.co>", hub),
        ("Hugging Face 🤗 <noreply@huggingface.co>", hub),
        ("=?UTF-8?Q?Hugging_Face?= <noreply@huggingface.co>", hub),
        ("=?UTF-8?B?eEBldmlsLmNvbQ==?= <noreply@huggingface.co>", hub),
        (" no-reply+1@mail.HuggingFace.co ", Some("no-reply+1@mail.HuggingFace.co")),
        // A comment, a quoted pair, a route, a domain literal.
        ("noreply@huggingface.co (Hugging Face)", None),
        ("Hugging Face (the Hub) <noreply@huggingface.co>", None),
        ("<noreply@huggingface.co> (x@evil.com)", None),
        ("\"Hugging \\\"Face\\\"\" <noreply@huggingface.co>", None),
        ("<@evil.com:noreply@huggingface.co>", None),
        ("noreply@[huggingface.co]", None),
        // A group, and several addresses.
        ("Hub: noreply@huggingface.co;", None),
        ("Hub:<noreply@huggingface.co>;", None),
        ("Hub: <noreply@huggingface.co>", None),
        ("Hugging Face, Inc. <noreply@huggingface.co>", None),
        ("x@evil.com, <noreply@huggingface.co>", None),
        ("<x@evil.com> <noreply@huggingface.co>", None),
        ("\"a\" <x@evil.com>, \"b\" <noreply@huggingface.co>", None),
        // An address that two readers could cut at different places.
        ("x@evil.com@huggingface.co", None),
        ("\"x@evil.com\"@huggingface.co", None),
        ("noreply @huggingface.co", None),
        ("< noreply@huggingface.co >", None),
        ("noreply@huggingface.co\r\nFrom: x@evil.com", None),
        ("x\u{ff20}evil.com@huggingface.co", None),
        ("x@evil.com/.huggingface.co", None),
        ("x@evil.com\u{a0}.huggingface.co", None),
        ("x@evil.com\u{3002}huggingface.co", None),
        ("=?UTF-8?Q?x=40evil=2Ecom?=@huggingface.co", None),
        ("\"Hugging Face <noreply@huggingface.co>", None),
        ("Hugging Face <noreply@huggingface.co", None),
        ("\" <noreply@huggingface.co>", None),
        ("@huggingface.co", None),
        ("", None),
    ];
    for (from, expected) in cases {
        assert_eq!(only_address(&[from.to_owned()]), expected, "{from:?}");
    }
}

#[test]
fn with_any_sender_the_secret_alone_protects() {
    let forged = mail(|mail| {
        with("/mail/commonHeaders/from", json!(["x@evil.com", "y@evil.com"]))(mail);
        with("/receipt/dmarcVerdict/status", json!("FAIL"))(mail);
    });
    let any = "any".parse().expect("any");
    assert!(verify_from(&forged, &any).is_ok());
    let spam = mail(with("/receipt/spamVerdict/status", json!("FAIL")));
    assert_eq!(verify_from(&spam, &any), Err(Refused::Harmful));
    let other = mail(with("/receipt/recipients", json!(["other@doorman.acme.com"])));
    assert_eq!(verify_from(&other, &any), Err(Refused::Recipient));
}

#[test]
fn sender_is_any_or_a_domain() {
    assert_eq!("HuggingFace.co".parse(), Ok(MailFrom::default()));
    for text in ["", "*", "@huggingface.co", "huggingface", "a@b.co", "huggingface.co,acme.com", ".co"] {
        let error = text.parse::<MailFrom>().expect_err(text);
        assert!(error.contains("neither `any` nor a domain"), "{error}");
    }
}

#[test]
fn subject_names_repos_in_any_form() {
    let cases: [(&str, &[&str]); 15] = [
        ("ada requests access to acme/model", &["acme/model", "datasets/acme/model"]),
        ("[acme/model] New access request.", &["acme/model", "datasets/acme/model"]),
        ("New request for datasets/acme/corpus.", &["datasets/acme/corpus"]),
        ("“Acme/Model-7B.v2”: a request", &["Acme/Model-7B.v2", "datasets/Acme/Model-7B.v2"]),
        ("see https://huggingface.co/acme/model/settings", &["acme/model", "datasets/acme/model"]),
        ("see https://huggingface.co/datasets/acme/corpus?x=1", &["datasets/acme/corpus"]),
        ("acme/one, acme/two", &["acme/one", "acme/two", "datasets/acme/one", "datasets/acme/two"]),
        ("acme/one/acme/two", &["acme/one", "datasets/acme/one"]),
        ("spaces/acme/app", &[]),
        ("a request and/", &[]),
        ("your model has a request", &[]),
        ("", &[]),
        ("acme/..", &[]),
        ("/ // ///", &[]),
        ("https://huggingface.co/acme", &["datasets/huggingface.co/acme", "huggingface.co/acme"]),
    ];
    for (subject, repos) in cases {
        let mail = verify(with("/mail/commonHeaders/subject", json!(subject))).expect("a mail");
        let named: BTreeSet<String> = mail.named_repos().iter().map(ToString::to_string).collect();
        assert_eq!(named.iter().map(String::as_str).collect::<Vec<_>>(), repos, "{subject}");
    }
    let many: String = (0..26).map(|number| format!("acme/model-{number}")).collect::<Vec<_>>().join(" ");
    let mail = verify(with("/mail/commonHeaders/subject", json!(many))).expect("a mail");
    assert!(mail.named_repos().is_empty(), "so many names are read as none");
    let without = verify(with("/mail/commonHeaders/subject", Value::Null)).expect("a mail");
    assert!(without.named_repos().is_empty());
}

#[test]
fn mail_is_read_directly_and_through_sns_and_sqs() {
    let mail = mail(|_| ());
    let mut sent = mail.clone();
    sent["notificationType"] = "Received".into();
    sent["content"] = "raw".into();
    let envelope = json!({"Type": "Notification", "Subject": "Amazon SES Email Receipt Notification", "Message": sent.to_string()});
    let direct = json!({"eventSource": "aws:ses", "ses": mail});
    let by_sns = json!({"EventSource": "aws:sns", "Sns": envelope});
    let queued =
        |body: &Value| json!({"messageId": "q1", "eventSource": "aws:sqs", "body": body.to_string()});
    let records = [direct.clone(), by_sns, queued(&envelope), queued(&sent)];
    let event = json!({"Records": records});
    let mails = read(event.as_object().expect("an object")).expect("mails");
    let expected = Received::deserialize(&mail).expect("a mail");
    assert_eq!(mails, vec![Ok(expected); 4]);

    let unreadable = [
        json!({"eventSource": "aws:ses"}),
        json!({"EventSource": "aws:sns", "Sns": {"Message": "Successfully validated SNS topic"}}),
        json!({"eventSource": "aws:sqs", "body": "x"}),
        json!({"eventSource": "aws:sqs", "body": "{\"Message\": \"x\"}"}),
    ];
    let event = json!({"Records": unreadable});
    let mails = read(event.as_object().expect("an object")).expect("mails");
    assert_eq!(mails, vec![Err(Refused::NotAMail); 4]);

    for other in [
        json!([]),
        json!([{"eventSource": "aws:s3"}]),
        json!([direct, {"eventSource": "aws:s3"}]),
        json!([{}]),
    ] {
        let event = json!({"Records": other});
        assert_eq!(read(event.as_object().expect("an object")), None, "{event}");
    }
}
