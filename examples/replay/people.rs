//! A dozen people who wait, each for another reason to be let in or not, and some who come later.

use serde_json::json;

use crate::hub::{Hub, Person};

/// The repos that people wait for here.
pub const REPOS: [&str; 2] = ["acme/gated-model", "datasets/acme/gated-corpus"];

/// A repo that nobody has asked for yet.
const QUIET: &str = "acme/quiet-model";

/// Has the same dozen wait for each of the repos.
pub fn seed(hub: &Hub) {
    let mut model = hub.model();
    model.add(QUIET);
    for repo in REPOS {
        let repo = model.add(repo);
        repo.card = json!({"extra_gated_fields": {"Country": "country", "Affiliation": "text"}});
        for person in dozen() {
            repo.ask(person);
        }
    }
}

fn dozen() -> Vec<Person> {
    let mut nameless_mail = form("guest", "guest@example.org", "CH", "Independent");
    nameless_mail.email = None;
    let mut forgetful = form("oskar", "oskar@acme.com", "DE", "Acme Berlin");
    forgetful.fields = None;
    vec![
        form("ada", "ada@acme.com", "GB", "Acme Research"),
        form("grace", "Grace.H@LABS.ACME.COM", "US", "Acme Labs"),
        form("mallory", "mallory@acme.com.evil.example", "US", "Acme Research"),
        form("jean", "jean@epfl.ch", "CH", "EPFL").verified("epfl"),
        form("kim", "kim@example.org", "KP", "Academy of Sciences"),
        form("sami", "sami@acme.com", "SY", "Acme Damascus"),
        form("lee", "lee@example.org", "KR", "-"),
        form("noor", "noor@acme.com", "NL", ""),
        form("carla", "carla@university.example", "IT", "University of Somewhere"),
        nameless_mail,
        forgetful,
        form("yuki", "yuki@example.org", "JP", "Kyoto Institute").verified("kyoto"),
    ]
}

/// Who asks between one event and the next.
#[allow(dead_code)]
pub fn newcomers() -> impl Iterator<Item = Person> {
    [
        form("emmy", "emmy@acme.com", "DE", "Acme Göttingen"),
        form("alan", "alan@example.org", "GB", "Bletchley"),
        form("marie", "marie@paris.acme.com", "FR", "Acme Paris"),
        form("rosa", "rosa@example.org", "PL", "?"),
        form("leo", "leo@epfl.ch", "CH", "EPFL").verified("epfl"),
        form("hedy", "hedy@acme.com", "AT", "Acme Wien"),
    ]
    .into_iter()
}

fn form(name: &str, email: &str, country: &str, affiliation: &str) -> Person {
    Person::new(name, email).answer("Country", country).answer("Affiliation", affiliation)
}
