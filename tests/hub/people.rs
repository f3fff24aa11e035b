//! Twelve people with pending requests, each for another rule of the sample policy, and some who make requests later.

use serde_json::json;

use super::{Hub, Person};

/// The repos with pending requests.
pub const REPOS: [&str; 2] = ["acme/gated-model", "datasets/acme/gated-corpus"];

/// A repo without requests.
const QUIET: &str = "acme/quiet-model";

/// Makes the twelve people request each of the repos.
pub fn seed(hub: &Hub) {
    let mut model = hub.model();
    model.add(QUIET);
    for repo in REPOS {
        let repo = model.add(repo);
        repo.card = json!({"extra_gated_fields": {"Country": "country", "Affiliation": "text"}});
        for person in twelve() {
            repo.ask(person);
        }
    }
}

fn twelve() -> Vec<Person> {
    let mut without_email = form("guest", "guest@example.org", "CH", "Independent");
    without_email.email = None;
    let mut without_answers = form("oskar", "oskar@acme.com", "DE", "Acme Berlin");
    without_answers.fields = None;
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
        without_email,
        without_answers,
        form("yuki", "yuki@example.org", "JP", "Kyoto Institute").verified("kyoto"),
    ]
}

/// The people who make a request between two events.
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

/// A person with these answers to the form.
fn form(name: &str, email: &str, country: &str, affiliation: &str) -> Person {
    Person::new(name, email).answer("Country", country).answer("Affiliation", affiliation)
}
