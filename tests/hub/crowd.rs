//! A varied crowd: any number of people, the same ones every time, who have requested six repos.

pub mod words;

use std::cmp::Reverse;
use std::time::Duration;

use chrono::Utc;
use fastrand::Rng;
use serde_json::{Value, json};

use super::{Gating, Hub, Person, Status};
use words::{AFFILIATIONS, COUNTRIES, NAMES, ODD, USES, WORDS};

/// A repo with a form of its own.
const VISION: &str = "acme/vision-model";
/// A repo that does not share its requesters.
const DISCREET: &str = "acme/discreet-model";
/// A repo that is no longer gated.
const RETIRED: &str = "acme/retired-model";
/// A repo with an automatic gate, and pending requests from before it became automatic.
const AUTOMATIC: &str = "acme/automatic-model";

/// The repos, from the one with most requests to the one with fewest.
pub const REPOS: [&str; 6] =
    ["acme/gated-model", "datasets/acme/gated-corpus", VISION, DISCREET, RETIRED, AUTOMATIC];

/// The length of the longest user name that the Hub allows.
const MAX_USER_NAME: usize = 42;
const TWO_YEARS: f64 = 2.0 * 365.0 * 86_400.0;

/// Makes this many people request the repos, at times within the last two years.
pub fn seed(hub: &Hub, people: usize) {
    let (now, mut random, mut model) = (Utc::now(), Rng::with_seed(2026), hub.model());
    for repo in REPOS {
        model.add(repo).card = card(repo);
    }
    model.repo(DISCREET).hides_requesters = true;
    model.repo(RETIRED).gating = Gating::Off;
    model.repo(AUTOMATIC).gating = Gating::Auto;
    let mut asked = Vec::new();
    for number in 0..people {
        let person = person(&mut random, number);
        model.people.push(person.clone());
        let first = [0, 0, 0, 0, 1, 1, 2, 3, 4, 5][random.usize(..10)];
        // One in six requests a second repo.
        let second = (first + random.usize(1..REPOS.len())) % REPOS.len();
        for repo in [first, second].into_iter().take(if random.u8(..6) == 0 { 2 } else { 1 }) {
            // Most requests are recent, and some are from the last hour.
            let age = Duration::from_secs_f64(60.0 + TWO_YEARS * random.f64().powi(3));
            asked.push((age, REPOS[repo], filled_in(&mut random, person.clone(), number, REPOS[repo])));
        }
    }
    asked.sort_by_key(|(age, ..)| Reverse(*age));
    for (age, repo, person) in asked {
        let (name, fate) = (person.name.clone(), random.u8(..20));
        let repo = model.repo(repo);
        repo.ask_at(person, now - age);
        let is_automatic = repo.gating == Gating::Auto;
        let Some(request) = repo.find_mut("user", &name) else { continue };
        request.status = match fate {
            0..=4 => Status::Accepted,
            5..=7 => Status::Rejected,
            8..=9 => Status::Reset,
            10..=17 if is_automatic => Status::Accepted,
            _ => Status::Pending,
        };
        if request.status != Status::Pending {
            request.reviewed_at = Some(now - age.mul_f64(random.f64()));
        }
        if fate == 0 {
            (request.granted, request.person.fields) = (true, None);
        }
    }
}

/// The card of a repo, with one of two gate forms.
fn card(repo: &str) -> Value {
    json!({"extra_gated_prompt": "Tell us who you are.", "extra_gated_fields": if repo == VISION {
        json!({"Organization": "text", "What for?": "text", "Date of birth": "date_picker"})
    } else {
        json!({"Country": "country", "Affiliation": "text", "I agree": "checkbox",
            "Intended use": {"type": "select", "options": USES}})
    }})
}

/// The first people have the names of the list. The later ones have mixtures, and user names of all lengths.
fn person(random: &mut Rng, number: usize) -> Person {
    let (handle, fullname) = NAMES[number % NAMES.len()];
    let (word, tail) = (WORDS[random.usize(..WORDS.len())], format!("-{number}"));
    let name = match number % 5 {
        _ if number < NAMES.len() => handle.to_owned(),
        0 => format!("{:.*}{tail}", MAX_USER_NAME - tail.len(), format!("{handle}-{}", WORDS.join("-"))),
        1 | 2 => format!("{handle}{tail}"),
        _ => format!("{handle}-{word}{tail}"),
    };
    let (_, domain, org) = AFFILIATIONS[number % AFFILIATIONS.len()];
    let mut person = Person::new(&name, &format!("{name}@{domain}"));
    let (_, other) = NAMES[random.usize(..NAMES.len())];
    let mixture = fullname.split(' ').take(1).chain(other.split(' ').next_back());
    person.fullname =
        if number < NAMES.len() { fullname.to_owned() } else { mixture.collect::<Vec<_>>().join(" ") };
    person.pro = random.u8(..8) == 0;
    if number % 7 == 3 {
        person.email = None;
    }
    if org.is_empty() {
        return person;
    }
    person.orgs.push(org.to_owned());
    if random.bool() { person.verified(org) } else { person }
}

/// The person with answers to the form of a repo. A third of the people give odd answers, and some give none.
fn filled_in(random: &mut Rng, person: Person, number: usize, repo: &str) -> Person {
    let (affiliation, ..) = AFFILIATIONS[number % AFFILIATIONS.len()];
    let text = match number % 9 {
        4 => return person,
        2 | 5 | 8 => ODD
            .get(number / 3 % (ODD.len() + 1))
            .map_or_else(|| "長い text ".repeat(500), |&odd| odd.to_owned()),
        _ => affiliation.to_owned(),
    };
    if repo == VISION {
        let born = format!("{}-{:02}-{:02}", random.u16(1940..2012), random.u8(1..13), random.u8(1..29));
        return person
            .answer("Organization", affiliation)
            .answer("What for?", text)
            .answer("Date of birth", born);
    }
    let person =
        person.answer("Country", COUNTRIES[random.usize(..COUNTRIES.len())]).answer("Affiliation", text);
    let person = person.answer("I agree", if random.u8(..10) == 0 { "false" } else { "true" });
    person.answer("Intended use", USES[random.usize(..USES.len())])
}
