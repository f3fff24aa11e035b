use super::*;

fn secrets(texts: &[&str]) -> AcceptedSecrets {
    let secrets: Vec<Secret> = texts.iter().map(|text| Secret::new(*text)).collect();
    AcceptedSecrets::new(&secrets).expect("random bytes")
}

#[test]
fn only_the_exact_secret_is_accepted() {
    let secrets = secrets(&["open sesame"]);
    assert!(secrets.include(b"open sesame"));
    let wrong: [&[u8]; 9] = [
        b"",
        b"o",
        b"open sesam",
        b"open sesamE",
        b"Open sesame",
        b"open sesame ",
        b" open sesame",
        b"open sesame\0",
        b"open sesameopen sesame",
    ];
    for shown in wrong {
        assert!(!secrets.include(shown), "{:?}", String::from_utf8_lossy(shown));
    }
}

/// There are enough guesses for one to pass if only the first two bytes of the HMACs were compared.
#[test]
fn no_guess_of_very_many_is_accepted() {
    let secrets = secrets(&["open sesame"]);
    assert!((0..300_000_u32).all(|guess| !secrets.include(&guess.to_be_bytes())));
}

#[test]
fn both_secrets_are_accepted_during_a_rotation() {
    let both = secrets(&["new", "old"]);
    assert!(both.include(b"new") && both.include(b"old"));
    assert!(!both.include(b"newold") && !both.include(b""));
}

#[test]
fn without_a_secret_nothing_is_accepted() {
    assert!(!secrets(&[]).include(b""));
}

/// The comparison's time reveals nothing if it compares HMACs under an unknown key. This test checks the key; the next one checks
/// that the HMACs are compared.
#[test]
fn hmacs_have_a_random_key() {
    let (one, other) = (secrets(&["open sesame"]), secrets(&["open sesame"]));
    assert!(one.tags[0] != other.tags[0]);
    let digest = <Sha256 as sha2::Digest>::digest("open sesame");
    assert!(one.tags[0] != CtOutput::new(digest), "a digest without a key");
}

#[test]
fn key_and_every_byte_of_the_hmac_are_compared() {
    let right = secrets(&["open sesame"]);
    let mut other_key = right.clone();
    other_key.keyed = secrets(&[]).keyed;
    assert!(!other_key.include(b"open sesame"));
    let bytes = right.tags[0].clone().into_bytes();
    for place in 0..bytes.len() {
        let mut wrong = right.clone();
        let mut bytes = bytes;
        bytes[place] ^= 1;
        wrong.tags = vec![CtOutput::new(bytes)];
        assert!(!wrong.include(b"open sesame"), "byte {place}");
    }
}

#[test]
fn secrets_are_the_same_if_their_texts_are() {
    let token = Secret::new("hf_token");
    assert!(token.is(&Secret::new("hf_token")) && !token.is(&Secret::new("hf_other")));
}

#[test]
fn debug_output_is_redacted() {
    assert_eq!(format!("{:?} {:?}", Secret::new("hf_token"), secrets(&["hook"])), "[redacted] [redacted]");
}

#[test]
fn secret_of_a_mail_address_is_a_local_part_in_lower_case() {
    for text in ["look-here-4f9a2c7d1b", " Look-Here-4F9A2C7D1B ", "a.b_c-d.e_f-g.h_i"] {
        assert_eq!(Secret::for_mail(text).expect(text).expose(), text.trim().to_ascii_lowercase());
    }
    let wrong = [
        "",
        "look-here-4f9a2",
        "look here 4f9a2c7d1b",
        "look+here+4f9a2c7d1b",
        "look-here-4f9a2c7d1b@acme.com",
    ];
    let dots = [".look-here-4f9a2c7d1b", "look-here-4f9a2c7d1b.", "look..here-4f9a2c7d1b"];
    for text in wrong.into_iter().chain(dots).chain([&*"x".repeat(65)]) {
        let error = Secret::for_mail(text).expect_err(text);
        assert!(text.is_empty() || !error.contains(text), "{error}");
    }
}
