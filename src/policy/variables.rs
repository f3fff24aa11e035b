//! A rule reads *variables*: `user`, `fields`, `repo`, `requested_at` and `now`. `user` and `repo` have *attributes*, such as
//! `user.email`. The values come from the request, its repo and the time.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::types::{CelBool, CelList, CelMap, CelMapKey, CelString, CelTimestamp};
use cel::common::value::Val;
use cel::{Context, Env};
use chrono::{DateTime, Utc};

use super::functions::{FOLDED_FIELDS, FOLDED_USER};
use super::{names, readable};
use crate::model::{AccessRequest, Repo, User};

/// The variables for the evaluation of the rules. They mostly borrow from the request. If the request lacks an attribute, the
/// attribute is left out, so that a rule which reads it gets an error.
pub(super) fn variables<'a>(
    env: &Arc<Env>,
    request: &'a AccessRequest,
    repo: &'a Repo,
    now: DateTime<Utc>,
    reads_folded: bool,
) -> Context<'a, 'a> {
    let AccessRequest { request_id: _, user, requested_at, fields, unreadable: _ } = request;
    let mut context = Context::with_env(Arc::clone(env));
    if reads_folded {
        let User { id, fullname, .. } = user;
        let folded = [("id", id.as_deref().map(name)), ("fullname", fullname.as_deref().map(name))];
        context.add_variable_as_val(FOLDED_USER, map(known(folded)));
        let answers = fields.iter().map(|(label, answer)| (label.as_str(), name(answer)));
        context.add_variable_as_val(FOLDED_FIELDS, map(answers));
    }
    context.add_variable_as_val("user", user_attributes(user));
    context.add_variable_as_val(
        "fields",
        map(fields.iter().map(|(label, answer)| (label.as_str(), text(answer)))),
    );
    let repo_attributes = [
        ("name", Some(name(repo.name()))),
        ("type", Some(text(repo.repo_type().as_str()))),
        ("owner", repo.owner().map(name)),
    ];
    context.add_variable_as_val("repo", map(known(repo_attributes)));
    if let Some(at) = requested_at {
        context.add_variable_as_val("requested_at", time(*at));
    }
    context.add_variable_as_val("now", time(now));
    context
}

fn user_attributes(user: &User) -> CelValue<'_> {
    let User { id, name: _, fullname, email, pro, verified_orgs, orgs, service_account } = user;
    let domain = email.as_deref().and_then(readable::domain);
    map(known([
        ("id", id.as_deref().map(text)),
        ("name", user.name.as_deref().map(self::name)),
        ("fullname", fullname.as_deref().map(text)),
        ("email", email.as_deref().map(self::name)),
        ("domain", domain.map(|domain| -> CelValue<'_> { Box::new(CelString::from(domain)) })),
        ("pro", pro.map(|pro| -> CelValue<'_> { Box::new(CelBool::from(pro)) })),
        ("verified_orgs", verified_orgs.as_deref().map(name_list)),
        ("orgs", orgs.as_deref().map(name_list)),
        ("service_account", service_account.as_deref().map(self::name)),
    ]))
}

type CelValue<'a> = Box<dyn Val + 'a>;

fn text(text: &str) -> CelValue<'_> {
    Box::new(CelString::from(text))
}

/// A name as the rules see it, in ASCII lower case. See [`names`].
fn name(name: &str) -> CelValue<'_> {
    Box::new(CelString::from(names::fold(name)))
}

fn name_list(names: &[String]) -> CelValue<'_> {
    Box::new(CelList::from(names.iter().map(|each| name(each)).collect::<Vec<_>>()))
}

fn time(time: DateTime<Utc>) -> CelValue<'static> {
    Box::new(CelTimestamp::from(time.fixed_offset()))
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, CelValue<'a>)>) -> CelValue<'a> {
    let entries: HashMap<_, _> = entries.map(|(name, value)| (CelMapKey::from(name), value)).collect();
    Box::new(CelMap::from(entries))
}

/// The attributes that have a value.
fn known<'a, const N: usize>(
    attributes: [(&'a str, Option<CelValue<'a>>); N],
) -> impl Iterator<Item = (&'a str, CelValue<'a>)> {
    attributes.into_iter().filter_map(|(name, value)| Some((name, value?)))
}
