//! The kinds of values whose form is known, and the texts that no value of a kind can equal.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::super::readable;

/// The values whose form is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Kind {
    Domain,
    Address,
    /// The name of a user or an organization.
    Account,
    Id,
    RepoName,
    RepoType,
}

impl Kind {
    /// The kind of an attribute, by its path.
    pub(in crate::policy) fn of(path: &str) -> Option<Self> {
        match path {
            "user.domain" => Some(Self::Domain),
            "user.email" => Some(Self::Address),
            "user.name" | "user.orgs" | "user.verified_orgs" | "user.service_account" | "repo.owner" => {
                Some(Self::Account)
            }
            "user.id" => Some(Self::Id),
            "repo.name" => Some(Self::RepoName),
            "repo.type" => Some(Self::RepoType),
            _ => None,
        }
    }

    /// What a value of this kind is, such as "a domain".
    pub(in crate::policy) fn noun(self) -> &'static str {
        match self {
            Self::Domain => "a domain",
            Self::Address => "an e-mail address",
            Self::Account => "the name of a user or an organization",
            Self::Id => "the id of a user",
            Self::RepoName => "the name of a repo",
            Self::RepoType => "the type of a repo",
        }
    }

    /// The form of a value of this kind, with a verb.
    fn form(self) -> &'static str {
        match self {
            Self::Domain => "contains only letters, digits, `-` and `.`, as in 'acme.com'",
            Self::Address => "has the form 'name@acme.com'",
            Self::Account => "contains only letters, digits, `-`, `_` and `.`",
            Self::Id => "has 24 digits from 0 to 9 and a to f",
            Self::RepoName => "contains only letters, digits, `-`, `_`, `.` and `/`",
            Self::RepoType => "is 'model' or 'dataset'",
        }
    }

    /// Whether a value of this kind can equal the text.
    pub(in crate::policy) fn fits(self, text: &str) -> bool {
        match self {
            Self::Domain => readable::is_domain(text),
            // An address may contain a `*`, but an owner who writes one means any address.
            Self::Address => readable::domain(text).is_some() && !text.contains('*'),
            Self::Id => {
                let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                text.len() == 24 && text.bytes().all(is_digit)
            }
            Self::Account | Self::RepoName => !text.is_empty() && self.fits_partly(text),
            Self::RepoType => matches!(text, "model" | "dataset"),
        }
    }

    /// Whether a value of this kind can contain the text.
    fn fits_partly(self, text: &str) -> bool {
        let others = if self == Self::RepoName { "-_./" } else { "-_." };
        match self {
            Self::Address => text.matches('@').count() <= 1,
            _ => text.chars().all(|c| c.is_alphanumeric() || others.contains(c)),
        }
    }
}

/// Why no value of this kind equals the text, or contains, begins or ends with it.
pub(super) fn fault_in(kind: Kind, function: &str, text: &str) -> Option<String> {
    let is_whole = function == op::EQUALS;
    if is_whole && text.trim().is_empty() {
        return Some("it is never empty; to test whether it is there, use `has`".to_owned());
    }
    if kind == Kind::RepoType {
        let fits = |known: &str| match function {
            "contains" => known.contains(text),
            "startsWith" => known.starts_with(text),
            "endsWith" => known.ends_with(text),
            _ => known == text,
        };
        return (!["model", "dataset"].into_iter().any(fits))
            .then(|| "it is 'model' or 'dataset'".to_owned());
    }
    let what = kind.noun();
    if text.contains(char::is_whitespace) {
        return Some(format!("{what} contains no white space"));
    }
    match kind {
        Kind::Domain if text.contains('@') => Some(match text.rsplit('@').next() {
            Some(domain) if !domain.is_empty() => format!("{what} contains no `@`; write '{domain}'"),
            _ => format!("{what} contains no `@`"),
        }),
        Kind::Domain if is_whole && text.starts_with('.') => {
            let domain = text.trim_matches('.');
            Some(format!("{what} does not begin with a dot; write `user.domain.under('{domain}')`"))
        }
        Kind::Domain if text.ends_with('.') && matches!(function, op::EQUALS | "endsWith") => {
            Some(format!("{what} does not end with a dot"))
        }
        Kind::Address if is_whole && !text.contains('@') => {
            Some(format!("{what} contains an `@`; write `user.domain.under('{text}')` to compare its domain"))
        }
        Kind::Address
            if text.starts_with('@') && matches!(function, op::EQUALS | "startsWith")
                || text.ends_with('@') && matches!(function, op::EQUALS | "endsWith") =>
        {
            Some(format!("{what} has text on both sides of the `@`"))
        }
        Kind::RepoName
            if text.starts_with("datasets/") && function != "contains" || text.matches('/').count() > 1 =>
        {
            Some(format!(
                "{what} is written as 'owner/name'; test for a dataset with `repo.type == 'dataset'`"
            ))
        }
        Kind::RepoName if is_whole && !text.contains('/') => {
            Some(format!("{what} begins with its owner; write 'owner/{text}'"))
        }
        _ if is_whole && !kind.fits(text) || !is_whole && !kind.fits_partly(text) => {
            Some(format!("{what} {}", kind.form()))
        }
        _ => None,
    }
}

/// The path of an attribute: `user.domain` for both `user.domain` and `user['domain']`.
pub(in crate::policy) fn path(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Select(select) if !select.test => match &select.operand.expr {
            Expr::Ident(variable) => Some(format!("{variable}.{}", select.field)),
            _ => None,
        },
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::INDEX => match args.as_slice() {
            [
                IdedExpr { expr: Expr::Ident(variable), .. },
                IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. },
            ] => Some(format!("{variable}.{}", name.inner())),
            _ => None,
        },
        _ => None,
    }
}
