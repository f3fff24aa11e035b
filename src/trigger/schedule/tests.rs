use super::*;

#[test]
fn eventbridge_event_sweeps_all() {
    let events = [
        r#"{"version": "0", "id": "53dc", "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}"#,
        r#"{"version": "0", "id": "53dc", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}"#,
        r#"{"id": "53dc", "account": "123456789012", "detail-type": "Model released", "source": "acme.models", "detail": {"sweep": ["acme/one"]}}"#,
        r#"{"source": "aws.scheduler", "my": "input"}"#,
        r#"{"sweep": true}"#,
    ];
    for event in events {
        assert_eq!(parse(event), Ok(Trigger::SweepAll), "{event}");
    }
}

#[test]
fn event_of_another_service_is_unknown() {
    for event in [
        r#"{"source": "evil", "detail-type": "x", "detail": {}}"#,
        r#"{"detail-type": "Scheduled Event"}"#,
        r#"{"id": "53dc", "account": "123456789012", "source": "", "detail-type": "x", "detail": {}}"#,
    ] {
        assert!(matches!(parse(event), Err(NotATrigger::Unknown(_))), "{event}");
    }
}

#[test]
fn warm_up_ping_is_ignored() {
    for event in [
        r#"{"warmer": true, "concurrency": 3}"#,
        r#"{"source": "serverless-plugin-warmup"}"#,
        r#"{"ping": true}"#,
    ] {
        assert!(matches!(parse(event), Ok(Trigger::Ignore(_))), "{event}");
    }
}

#[test]
fn order_names_repos_as_the_variable_repos_does() {
    let event = r#"{"sweep": ["acme/one", "datasets/acme/*"], "source": "aws.scheduler"}"#;
    let patterns = ["acme/one", "datasets/acme/*"].map(|name| name.parse().expect("a pattern"));
    assert_eq!(parse(event), Ok(Trigger::Sweep(patterns.into())));
}

#[test]
fn unknown_event_error_says_what_was_expected() {
    let events = [
        ("", "not a JSON object"),
        ("null", "not a JSON object"),
        ("[]", "not a JSON object"),
        (r#""sweep""#, "not a JSON object"),
        ("{}", "of no known form"),
        (r#"{"Records": []}"#, "of no known form"),
        (r#"{"source": 1}"#, "of no known form"),
        (r#"{"source": "aws.cloudwatch", "alarmArn": "arn:aws:cloudwatch:x"}"#, "of no known form"),
        (r#"{"source": "acme.models"}"#, "of no known form"),
        (r#"{"detail-type": "Model released"}"#, "of no known form"),
        (r#"{"sweep": []}"#, "`sweep` is neither"),
        (r#"{"sweep": null}"#, "`sweep` is neither"),
        (r#"{"sweep": false, "source": "aws.scheduler"}"#, "`sweep` is neither"),
        (r#"{"sweep": "acme/one"}"#, "`sweep` is neither"),
        (r#"{"sweep": [1]}"#, "`sweep` lists a value that is not a string"),
    ];
    let error_of = |event| match parse(event) {
        Err(NotATrigger::Unknown(why)) => why,
        other => panic!("{event}: {other:?}"),
    };
    for (event, expected) in events {
        let error = error_of(event);
        assert!(error.contains(expected) && error.contains("expected an HTTP event"), "{event}: {error}");
    }
    let error = error_of(r#"{"sweep": ["acme/one", "spaces/acme/app"]}"#);
    assert!(error.starts_with("`sweep`: `spaces/acme/app` is not the name of a repo"), "{error}");
}

#[test]
fn http_event_never_orders_a_sweep() {
    for event in [r#"{"requestContext": {}}"#, r#"{"sweep": true, "source": "x", "requestContext": null}"#] {
        assert_eq!(parse(event), Err(NotATrigger::Http), "{event}");
    }
}
