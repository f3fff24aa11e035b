//! The guard of the desk: only the browser that has opened the printed address may use it, and only from the desk's own page.
//!
//! Other users of this machine can reach the port, and any site that the owner visits can make the browser send requests to it. So
//! each request has to name the right host and path, and to show the cookie. A request that changes something also has to come from
//! the desk's own origin, and to show a form that has not been used before.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hub_doorman::secrets::{AcceptedSecrets, Secret};

use crate::exit::UsageError;

/// The most forms that can be open. An older one is refused.
const MAX_FORMS: usize = 1000;

/// The headers of every response. Nothing is loaded from elsewhere, nothing is stored, and no page may show the desk in a frame.
/// `no-referrer` would make browsers send `Origin: null`, so the policy is `same-origin`.
pub const HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

const COOKIE_NAME: &str = "doorman";
const FETCH_DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("This request names another host. Open the address that `doorman desk` has printed.")]
    Host,
    #[error("The desk is not shown in a frame of another page.")]
    Frame,
    #[error("This browser has not opened the desk. Open the address that `doorman desk` has printed.")]
    Cookie,
    #[error(
        "This address is wrong, or was used already. Stop `doorman desk` and start it again to get a new address."
    )]
    Token,
    #[error("This request comes from another page than the desk. Nothing was changed.")]
    Origin,
    #[error("This form was sent before, or is too old, so it was ignored. Reload the page.")]
    Form,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Frame | Self::Cookie | Self::Token | Self::Origin => StatusCode::FORBIDDEN,
            Self::Form => StatusCode::CONFLICT,
        }
    }
}

/// The secrets of one start of the desk.
pub struct Guard {
    host: String,
    /// The path of the desk. Browsers send a cookie to every port of a host, so the path keeps it from other servers on this machine.
    path: String,
    cookie: Secret,
    accepted_cookie: AcceptedSecrets,
    /// The token of the printed address, until a browser has shown it.
    token: Mutex<Option<AcceptedSecrets>>,
    /// The forms that have not been sent yet.
    forms: Mutex<VecDeque<String>>,
}

impl Guard {
    /// Draws the secrets of a desk that listens on this port. Returns the address to open, too.
    pub fn new(port: u16) -> Result<(Self, String), UsageError> {
        let (path, cookie, token) = (random()?, Secret::new(random()?), Secret::new(random()?));
        let accepted = |secret| {
            AcceptedSecrets::new([secret]).map_err(|error| UsageError(format!("no random bytes: {error}")))
        };
        let host = format!("127.0.0.1:{port}");
        let address = format!("http://{host}/{path}/?token={}", token.expose());
        let guard = Self {
            host,
            path,
            accepted_cookie: accepted(&cookie)?,
            token: Mutex::new(Some(accepted(&token)?)),
            cookie,
            forms: Mutex::default(),
        };
        Ok((guard, address))
    }

    /// The path under which everything is served.
    pub fn path(&self) -> String {
        format!("/{}", self.path)
    }

    /// Checks everything but the cookie.
    pub fn check_place(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
        if text(&HOST) != Some(self.host.as_bytes()) {
            return Err(Refusal::Host);
        }
        if let Some(b"iframe" | b"frame" | b"object" | b"embed") = text(&FETCH_DESTINATION) {
            return Err(Refusal::Frame);
        }
        if *method == Method::GET || *method == Method::HEAD {
            return Ok(());
        }
        let own = format!("http://{}", self.host);
        let is_own = text(&ORIGIN) == Some(own.as_bytes());
        let is_same_site = text(&FETCH_SITE).is_none_or(|site| site == b"same-origin");
        if is_own && is_same_site { Ok(()) } else { Err(Refusal::Origin) }
    }

    /// Checks the cookie.
    pub fn check_cookie(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == COOKIE_NAME).then_some(value)
        });
        let is_shown = cookies.any(|value| self.accepted_cookie.include(value.as_bytes()));
        if is_shown { Ok(()) } else { Err(Refusal::Cookie) }
    }

    /// Exchanges the token of the printed address for the cookie. A token works once.
    pub fn exchange(&self, token: &str) -> Result<String, Refusal> {
        let mut unused = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if !unused.as_ref().is_some_and(|accepted| accepted.include(token.as_bytes())) {
            return Err(Refusal::Token);
        }
        *unused = None;
        let Self { path, cookie, .. } = self;
        Ok(format!("{COOKIE_NAME}={}; Path=/{path}/; HttpOnly; SameSite=Strict", cookie.expose()))
    }

    /// Makes the mark of a new form.
    pub fn new_form(&self) -> String {
        // Without random bytes there is no form, and every mark is refused.
        let Ok(mark) = random() else { return String::new() };
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.push_back(mark.clone());
        if forms.len() > MAX_FORMS {
            forms.pop_front();
        }
        mark
    }

    /// Uses the mark of a form, so that the form cannot be sent again.
    pub fn use_form(&self, mark: &str) -> Result<(), Refusal> {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let place = forms.iter().position(|form| form == mark).ok_or(Refusal::Form)?;
        forms.remove(place);
        Ok(())
    }
}

/// 32 hexadecimal digits from random bytes.
fn random() -> Result<String, UsageError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| UsageError(format!("the operating system gives no random bytes: {error}")))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn guard() -> (Guard, String) {
        let (guard, address) = Guard::new(8017).expect("random bytes");
        let token = address.split_once("token=").expect("a token").1.to_owned();
        (guard, token)
    }

    type Case<'a> = (Method, &'a [(&'static str, &'a str)], Result<(), Refusal>);

    #[test]
    fn request_has_to_name_the_host_and_come_from_the_desk() {
        let (guard, _) = guard();
        let (host, own) = (("host", "127.0.0.1:8017"), ("origin", "http://127.0.0.1:8017"));
        let cases: [Case; 14] = [
            (Method::GET, &[host], Ok(())),
            (Method::GET, &[host, ("sec-fetch-site", "cross-site")], Ok(())),
            (Method::GET, &[], Err(Refusal::Host)),
            (Method::GET, &[("host", "127.0.0.1")], Err(Refusal::Host)),
            (Method::GET, &[("host", "localhost:8017")], Err(Refusal::Host)),
            (Method::GET, &[("host", "127.0.0.1:8017.evil.example")], Err(Refusal::Host)),
            (Method::GET, &[("host", "evil.example:8017"), own], Err(Refusal::Host)),
            (Method::GET, &[host, ("sec-fetch-dest", "iframe")], Err(Refusal::Frame)),
            (Method::POST, &[host, own], Ok(())),
            (Method::POST, &[host, own, ("sec-fetch-site", "same-site")], Err(Refusal::Origin)),
            (Method::POST, &[host], Err(Refusal::Origin)),
            (Method::POST, &[host, ("origin", "null")], Err(Refusal::Origin)),
            (Method::POST, &[host, ("origin", "http://127.0.0.1:8018")], Err(Refusal::Origin)),
            (Method::PUT, &[host, ("origin", "https://evil.example")], Err(Refusal::Origin)),
        ];
        for (method, pairs, expected) in cases {
            assert_eq!(guard.check_place(&method, &headers(pairs)), expected, "{method} {pairs:?}");
        }
    }

    #[test]
    fn token_works_once_and_gives_the_cookie() {
        let (guard, token) = guard();
        for wrong in ["", "0", &token[1..], &token.to_uppercase().replace(|c: char| c.is_ascii_digit(), "f")]
        {
            assert_eq!(guard.exchange(wrong), Err(Refusal::Token), "{wrong}");
        }
        let cookie = guard.exchange(&token).expect("a cookie");
        assert_eq!(guard.exchange(&token), Err(Refusal::Token));
        assert!(cookie.ends_with("/; HttpOnly; SameSite=Strict") && !cookie.contains(&token), "{cookie}");
        let pair = cookie.split(';').next().expect("a pair");
        assert_eq!(guard.check_cookie(&headers(&[("cookie", &format!("a=b; {pair}; c=d"))])), Ok(()));
        for wrong in ["", "doorman=", "doorman=0", &format!("x{pair}"), &format!("{pair}0")] {
            assert_eq!(guard.check_cookie(&headers(&[("cookie", wrong)])), Err(Refusal::Cookie), "{wrong}");
        }
    }

    #[test]
    fn form_can_be_sent_once() {
        let (guard, _) = guard();
        let [first, second] = [(); 2].map(|()| guard.new_form());
        assert_eq!(guard.use_form(&second), Ok(()));
        assert_eq!(guard.use_form(&first), Ok(()));
        for mark in [&first, &second, "", "0"] {
            assert_eq!(guard.use_form(mark), Err(Refusal::Form));
        }
        let oldest = guard.new_form();
        (0..MAX_FORMS).for_each(|_| drop(guard.new_form()));
        assert_eq!(guard.use_form(&oldest), Err(Refusal::Form));
    }
}
