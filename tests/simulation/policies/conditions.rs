//! Random conditions: their text in CEL, and what they mean in plain Rust. A result of `None` says that the condition cannot be
//! evaluated.

use serde_json::Value;

use super::lists::{Kind, List, is_under};

/// An entry of the list of pending requests, as the Hub sent it.
pub struct Entry<'a> {
    pub json: &'a Value,
    /// `acme/model` or `datasets/acme/corpus`, in lower case.
    pub repo: &'a str,
}

impl Entry<'_> {
    fn text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().try_fold(self.json, |value, key| value.get(key))?.as_str()
    }

    fn answer(&self, label: &str) -> Option<&str> {
        self.text(&["fields", label])
    }

    pub fn email(&self) -> Option<&str> {
        self.text(&["user", "email"])
    }

    fn domain(&self) -> Option<&str> {
        Some(self.email()?.split_once('@')?.1)
    }

    fn verified_orgs(&self) -> Option<Vec<&str>> {
        let orgs = self.json.get("user")?.get("verifiedOrgNames")?.as_array()?;
        Some(orgs.iter().filter_map(Value::as_str).collect())
    }
}

/// The data that a condition may read beside the request.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub lists: &'a [List],
    pub lets: &'a [Let],
}

/// A name for a condition or a text. It reads only those before it.
#[derive(Debug)]
pub struct Let {
    pub name: String,
    pub meaning: Meaning,
}

#[derive(Debug)]
pub enum Meaning {
    Condition(Condition),
    Text(Text),
}

/// A text of a request that is compared with a list.
#[derive(Clone, Copy, Debug)]
pub enum Text {
    UserName,
    Email,
    Domain,
    Affiliation,
    TrimmedAffiliation,
}

const TEXTS: [Text; 5] =
    [Text::UserName, Text::Email, Text::Domain, Text::Affiliation, Text::TrimmedAffiliation];

impl Text {
    fn cel(self) -> &'static str {
        match self {
            Self::UserName => "user.name",
            Self::Email => "user.email",
            Self::Domain => "user.domain",
            Self::Affiliation => "fields['Affiliation']",
            Self::TrimmedAffiliation => "fields['Affiliation'].trim()",
        }
    }

    fn value<'e>(self, entry: &'e Entry) -> Option<&'e str> {
        match self {
            Self::UserName => entry.text(&["user", "user"]),
            Self::Email => entry.email(),
            Self::Domain => entry.domain(),
            Self::Affiliation => entry.answer("Affiliation"),
            Self::TrimmedAffiliation => entry.answer("Affiliation").map(str::trim),
        }
    }

    /// Whether its case does not matter.
    fn is_name(self) -> bool {
        matches!(self, Self::UserName | Self::Email | Self::Domain)
    }

    fn kind(self) -> Kind {
        match self {
            Self::UserName => Kind::Name,
            Self::Email => Kind::Address,
            Self::Domain => Kind::Domain,
            Self::Affiliation | Self::TrimmedAffiliation => Kind::Answer,
        }
    }
}

/// A condition. Numbers are positions in a [`Scope`].
#[derive(Clone, Debug)]
pub enum Condition {
    /// A position in [`TABLE`].
    Fixed(usize),
    /// A text is in a list. With a number, the text is that of a `let`.
    In(Text, Option<usize>, usize),
    /// The domain of the user is under a list.
    Under(usize),
    /// A verified organization of the user is in a list.
    OrgIn(usize),
    Let(usize),
    Not(Box<Condition>),
    And(Box<[Condition; 2]>),
    Or(Box<[Condition; 2]>),
}

impl Condition {
    /// Draws a condition that consists of at most `2^depth` parts.
    pub fn draw(random: &mut fastrand::Rng, scope: Scope, depth: u32) -> Self {
        let both =
            |random: &mut fastrand::Rng| Box::new([(); 2].map(|()| Self::draw(random, scope, depth - 1)));
        match random.u8(..12) {
            0 if depth > 0 => Self::Not(Box::new(Self::draw(random, scope, depth - 1))),
            1 | 2 if depth > 0 => Self::And(both(random)),
            3 | 4 if depth > 0 => Self::Or(both(random)),
            5..8 => Self::draw_let(random, scope).unwrap_or(Self::Fixed(random.usize(..TABLE.len()))),
            8..11 => Self::draw_look_up(random, scope).unwrap_or(Self::Fixed(random.usize(..TABLE.len()))),
            _ => Self::Fixed(random.usize(..TABLE.len())),
        }
    }

    fn draw_let(random: &mut fastrand::Rng, scope: Scope) -> Option<Self> {
        let number = (0..scope.lets.len()).filter(|_| random.bool()).last()?;
        match scope.lets[number].meaning {
            Meaning::Condition(_) => Some(Self::Let(number)),
            Meaning::Text(text) => {
                Self::draw_list(random, scope, text).map(|list| Self::In(text, Some(number), list))
            }
        }
    }

    /// Draws a look-up in a list, if there is one.
    fn draw_look_up(random: &mut fastrand::Rng, scope: Scope) -> Option<Self> {
        match random.u8(..4) {
            0 => Self::draw_list(random, scope, Text::Domain).map(Self::Under),
            1 => Self::draw_list(random, scope, Text::UserName).map(Self::OrgIn),
            _ => {
                let text = Text::draw(random);
                Self::draw_list(random, scope, text).map(|list| Self::In(text, None, list))
            }
        }
    }

    /// Draws a list that may be compared with a text: one of its kind, or one in a file.
    fn draw_list(random: &mut fastrand::Rng, scope: Scope, text: Text) -> Option<usize> {
        let mut fits = |list: &List| list.kind == text.kind() || list.file.is_some() && random.u8(..4) == 0;
        let fitting: Vec<usize> =
            scope.lists.iter().enumerate().filter(|(_, list)| fits(list)).map(|(number, _)| number).collect();
        (!fitting.is_empty()).then(|| fitting[random.usize(..fitting.len())])
    }

    /// The condition in CEL.
    pub fn cel(&self, scope: Scope) -> String {
        let list = |number: &usize| format!("lists.{}", scope.lists[*number].name);
        match self {
            Self::Fixed(number) => format!("({})", TABLE[*number].cel),
            Self::In(text, None, number) => format!("{} in {}", text.cel(), list(number)),
            Self::In(_, Some(of), number) => format!("{} in {}", scope.lets[*of].name, list(number)),
            Self::Under(number) => format!("user.domain.under({})", list(number)),
            Self::OrgIn(number) => format!("user.verified_orgs.exists(org, org in {})", list(number)),
            Self::Let(number) => scope.lets[*number].name.clone(),
            Self::Not(condition) => format!("!({})", condition.cel(scope)),
            Self::And(both) => format!("(({}) && ({}))", both[0].cel(scope), both[1].cel(scope)),
            Self::Or(both) => format!("(({}) || ({}))", both[0].cel(scope), both[1].cel(scope)),
        }
    }

    /// Whether it is true for an entry.
    pub fn is_true(&self, entry: &Entry, scope: Scope) -> Option<bool> {
        match self {
            Self::Fixed(number) => (TABLE[*number].is_true)(entry),
            Self::In(text, _, list) => scope.lists[*list].contains(text.value(entry)?, text.is_name()),
            Self::Under(list) => scope.lists[*list].covers(entry.domain()?),
            Self::OrgIn(list) => {
                let is_in = |org: &&str| scope.lists[*list].contains(org, true);
                entry.verified_orgs()?.iter().map(is_in).fold(Some(false), or)
            }
            Self::Let(number) => match &scope.lets[*number].meaning {
                Meaning::Condition(condition) => condition.is_true(entry, scope),
                Meaning::Text(_) => None,
            },
            Self::Not(condition) => Some(!condition.is_true(entry, scope)?),
            Self::And(both) => and(both[0].is_true(entry, scope), both[1].is_true(entry, scope)),
            Self::Or(both) => or(both[0].is_true(entry, scope), both[1].is_true(entry, scope)),
        }
    }
}

impl Text {
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        TEXTS[random.usize(..TEXTS.len())]
    }
}

impl Let {
    /// Draws an expression over those before it.
    pub fn draw(random: &mut fastrand::Rng, scope: Scope, name: &str) -> Self {
        let meaning = if random.u8(..4) == 0 {
            Meaning::Text(Text::draw(random))
        } else {
            Meaning::Condition(Condition::draw(random, scope, 1))
        };
        Self { name: name.to_owned(), meaning }
    }

    pub fn cel(&self, scope: Scope) -> String {
        match &self.meaning {
            Meaning::Text(text) => text.cel().to_owned(),
            Meaning::Condition(condition) => condition.cel(scope),
        }
    }
}

/// `||` as in CEL. If one side is true, the result is true, even if the other is unknown.
fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// `&&` as in CEL. If one side is false, the result is false, even if the other is unknown.
pub fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn is_pro(entry: &Entry) -> Option<bool> {
    entry.json.get("user")?.get("isPro")?.as_bool()
}

/// A condition with a fixed text.
struct Fixed {
    cel: &'static str,
    is_true: fn(&Entry) -> Option<bool>,
}

const TABLE: [Fixed; 24] = [
    Fixed { cel: "true", is_true: |_| Some(true) },
    Fixed {
        cel: "user.domain == 'ACME.com'",
        is_true: |entry| Some(entry.text(&["user", "email"])?.to_ascii_lowercase().ends_with("@acme.com")),
    },
    Fixed {
        cel: "'epfl' in user.verified_orgs",
        is_true: |entry| {
            let orgs = entry.json.get("user")?.get("verifiedOrgNames")?.as_array()?;
            Some(orgs.iter().filter_map(Value::as_str).any(|org| org.eq_ignore_ascii_case("epfl")))
        },
    },
    Fixed { cel: "user.pro", is_true: is_pro },
    Fixed {
        cel: "user.name.startsWith('a')",
        is_true: |entry| Some(entry.text(&["user", "user"])?.starts_with(['a', 'A'])),
    },
    Fixed {
        cel: "user.name.matches('^B.*1$')",
        is_true: |entry| {
            let name = entry.text(&["user", "user"])?;
            Some(name.starts_with(['b', 'B']) && name.ends_with('1'))
        },
    },
    Fixed { cel: "repo.name == 'acme/Model'", is_true: |entry| Some(entry.repo == "acme/model") },
    Fixed {
        cel: "user.name in ['A1', 'b2', 'B3']",
        is_true: |entry| {
            let name = entry.text(&["user", "user"])?.to_ascii_lowercase();
            Some(["a1", "b2", "b3"].contains(&name.as_str()))
        },
    },
    Fixed {
        cel: "'Affiliation' in fields && fields['Affiliation'] == 'EPFL'",
        is_true: |entry| Some(entry.answer("Affiliation") == Some("EPFL")),
    },
    Fixed { cel: "fields['Country'] == 'KP'", is_true: |entry| Some(entry.answer("Country")? == "KP") },
    Fixed {
        cel: "'Country' in fields && fields['Country'] == 'KP'",
        is_true: |entry| Some(entry.answer("Country") == Some("KP")),
    },
    Fixed {
        cel: "size(fields['Affiliation']) < 3",
        is_true: |entry| Some(entry.answer("Affiliation")?.chars().count() < 3),
    },
    Fixed { cel: "!('Affiliation' in fields)", is_true: |entry| Some(entry.answer("Affiliation").is_none()) },
    Fixed {
        cel: "user.pro || fields['Country'] == 'KP'",
        is_true: |entry| or(is_pro(entry), entry.answer("Country").map(|answer| answer == "KP")),
    },
    Fixed {
        cel: "user.pro ? size(fields['Affiliation']) < 3 : 'Country' in fields",
        is_true: |entry| {
            if is_pro(entry)? {
                Some(entry.answer("Affiliation")?.chars().count() < 3)
            } else {
                Some(entry.answer("Country").is_some())
            }
        },
    },
    Fixed { cel: "repo.type == 'dataset'", is_true: |entry| Some(entry.repo.starts_with("datasets/")) },
    Fixed {
        cel: "user.domain.under('Acme.com')",
        is_true: |entry| Some(is_under(entry.domain()?, "acme.com")),
    },
    Fixed {
        cel: "user.domain.under(['lab.acme.com', 'org'])",
        is_true: |entry| {
            let domain = entry.domain()?;
            Some(is_under(domain, "lab.acme.com") || is_under(domain, "org"))
        },
    },
    Fixed {
        cel: "user.email.endsWith('@ACME.com')",
        is_true: |entry| Some(entry.email()?.to_ascii_lowercase().ends_with("@acme.com")),
    },
    Fixed {
        cel: "fields['Affiliation'].trim().lowerAscii() == 'epfl'",
        is_true: |entry| Some(entry.answer("Affiliation")?.trim().eq_ignore_ascii_case("epfl")),
    },
    Fixed {
        cel: "size(fields['Affiliation'].split('P')) == 2",
        is_true: |entry| Some(entry.answer("Affiliation")?.matches('P').count() == 1),
    },
    Fixed {
        cel: "fields['Affiliation'].replace('F', '').upperAscii() == 'EPL'",
        is_true: |entry| Some(entry.answer("Affiliation")?.replace('F', "").eq_ignore_ascii_case("epl")),
    },
    Fixed {
        cel: "age(fields['Born']) >= 18",
        is_true: |entry| match entry.answer("Born")? {
            "1990-02-28" => Some(true),
            "2990-02-28" | "28.2.1990" => None,
            other => panic!("no requester answers {other}"),
        },
    },
    Fixed {
        cel: "user.service_account == ''",
        is_true: |entry| entry.json.get("user").filter(|user| user.is_object()).map(|_| true),
    },
];
