//! Users as a person names them: by user name, or by the request if the repo does not share the user.

use hub_doorman::model::Identity;

/// Reads `ada`, `request:67f0` or `id:65a1`.
pub fn parse(text: &str) -> Result<Identity, String> {
    let is_id =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match text.split_once(':') {
        Some(("request", id)) if is_id(id) => Ok(Identity::RequestId(id.to_owned())),
        Some(("id", id)) if is_id(id) => Ok(Identity::UserId(id.to_owned())),
        None if is_id(text) => Ok(Identity::UserName(text.to_owned())),
        _ => Err("it is neither the name of a user nor `request:` and the id of a request".to_owned()),
    }
}

/// The text that [`parse`] reads as this user.
pub fn name(user: &Identity) -> String {
    match user {
        Identity::UserName(name) => name.clone(),
        Identity::RequestId(id) => format!("request:{id}"),
        Identity::UserId(id) => format!("id:{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_user_is_read_as_the_same_user() {
        let users = [
            Identity::UserName("ada-l_1.x".to_owned()),
            Identity::RequestId("67f0".to_owned()),
            Identity::UserId("65a1".to_owned()),
        ];
        for user in users {
            assert_eq!(parse(&name(&user)), Ok(user));
        }
    }

    #[test]
    fn text_that_names_no_user_is_refused() {
        for text in ["", "request:", "id:a/b", "a:b", "a b", "@ada"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
