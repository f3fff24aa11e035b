//! The document of a policy: its keys, and the faults in them that do not concern the expressions.

mod reader;

use std::collections::HashSet;
use std::sync::Arc;

use super::suggest::did_you_mean;
use super::tree::{Fault, Node, Value};
use crate::model::{RepoPattern, Verdict};
use reader::Reader;

/// The maximum length of a reason on the Hub. The Hub probably counts UTF-16 code units, as JavaScript does. If it does not,
/// only reasons with emoji are refused too early.
const MAX_REASON: usize = 200;

const VERDICTS: [Verdict; 4] = [Verdict::Accept, Verdict::Hold, Verdict::Reset, Verdict::Reject];

/// The keys of the document itself. Editors read the schema under `$schema`.
const TOP_KEYS: [&str; 7] = ["default", "lists", "let", "rules", "limits", "paused", "$schema"];

/// Names that a `let` cannot have: the variables of rules, and the words of CEL.
const RESERVED: [&str; 29] = [
    "user",
    "fields",
    "repo",
    "requested_at",
    "now",
    "lists",
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "has",
    "type",
];

/// A policy whose expressions are not compiled yet.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) default: DefaultVerdict,
    pub(super) lists: Vec<WrittenList>,
    pub(super) lets: Vec<WrittenLet>,
    pub(super) rules: Vec<WrittenRule>,
    pub(super) limits: Limits,
    pub(super) paused: bool,
}

/// The verdict if no rule matches.
#[derive(Clone, Debug)]
pub(super) struct DefaultVerdict {
    pub(super) then: Verdict,
    pub(super) reason: Option<Arc<str>>,
}

/// The maximum numbers of requests that a run accepts and rejects in one repo. If more requests have one of these verdicts, the
/// run decides none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of requests to accept.
    pub accept: Option<u64>,
    /// The maximum number of requests to reject.
    pub reject: Option<u64>,
}

/// A list of the document.
#[derive(Debug)]
pub(super) struct WrittenList {
    pub(super) name: String,
    pub(super) source: ListSource,
}

#[derive(Debug)]
pub(super) enum ListSource {
    /// The entries are in the document.
    Entries(Vec<String>),
    /// Each line of a file is an entry, or each value in a column of a CSV file.
    File { file: String, column: Option<String> },
}

/// An expression, and the number of bytes before it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) at: usize,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct WrittenLet {
    pub(super) name: String,
    pub(super) expression: Source,
}

#[derive(Debug)]
pub(super) struct WrittenRule {
    /// The name of the rule as faults show it, such as ``rule `staff` ``.
    pub(super) label: String,
    pub(super) name: Arc<str>,
    pub(super) then: Verdict,
    pub(super) condition: Source,
    pub(super) unless: Option<Source>,
    pub(super) reason: Option<Arc<str>>,
    /// The repos that the rule applies to, or `None` for all.
    pub(super) repos: Option<Vec<RepoPattern>>,
}

/// Reads the keys of a policy, and adds their faults to `faults`. If there are faults, parts of the document may be missing.
pub(super) fn read(root: &Node, faults: &mut Vec<Fault>) -> Document {
    let mut reader = Reader { faults };
    let entries = reader.entries("", root, &TOP_KEYS);
    let get = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    if let Some(schema) = get("$schema") {
        reader.text("`$schema`: ", schema);
    }
    if get("rules").is_none() && matches!(root.value, Value::Table(_)) {
        let fault = "`rules` is missing; if there are none, write `rules = []`";
        reader.fault(root.at, "", fault);
    }
    Document {
        default: get("default")
            .map_or(DefaultVerdict { then: Verdict::Hold, reason: None }, |node| reader.default(node)),
        lists: get("lists").map(|node| reader.lists(node)).unwrap_or_default(),
        lets: get("let").map(|node| reader.lets(node)).unwrap_or_default(),
        rules: get("rules").map(|node| reader.rules(node)).unwrap_or_default(),
        limits: get("limits").map(|node| reader.limits(node)).unwrap_or_default(),
        paused: get("paused").and_then(|node| reader.bool("`paused`: ", node)).unwrap_or_default(),
    }
}

impl Reader<'_> {
    fn verdict(&mut self, subject: &str, node: &Node) -> Option<Verdict> {
        let text = self.text(subject, node)?;
        let verdict = VERDICTS.into_iter().find(|verdict| verdict.as_str() == text);
        if verdict.is_none() {
            let hint = did_you_mean(text, VERDICTS.map(Verdict::as_str));
            self.fault(node.at, subject, &format!("there is no verdict `{text}`{hint}"));
        }
        verdict
    }

    fn default(&mut self, node: &Node) -> DefaultVerdict {
        let mut default = DefaultVerdict { then: Verdict::Hold, reason: None };
        if !matches!(node.value, Value::Table(_)) {
            default.then = self.verdict("`default`: ", node).unwrap_or(Verdict::Hold);
            return default;
        }
        let entries = self.entries("`default`: ", node, &["then", "reason"]);
        let get = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let Some(then) = get("then") else {
            self.fault(node.at, "`default`: ", "`then` is missing; it is the verdict if no rule matches");
            return default;
        };
        default.then = self.verdict("`default`: `then`: ", then).unwrap_or(Verdict::Hold);
        if let Some(reason) = get("reason") {
            default.reason = self.reason("`default`: `reason`: ", reason, default.then);
        }
        default
    }

    fn reason(&mut self, subject: &str, node: &Node, then: Verdict) -> Option<Arc<str>> {
        let reason = self.text(subject, node)?;
        if let Some(fault) = fault_in_reason(reason, then) {
            self.fault(node.at, subject, &fault);
        }
        Some(reason.into())
    }

    fn lists(&mut self, node: &Node) -> Vec<WrittenList> {
        let entries = self.named_entries("`lists`: ", node);
        let lists = entries.into_iter().filter_map(|(key, name, value)| {
            let subject = format!("list `{name}`: ");
            if !is_identifier(name) {
                self.fault(key.at, &subject, NO_IDENTIFIER);
            }
            let source = match &value.value {
                Value::List(_) => ListSource::Entries(self.texts(&subject, value)),
                Value::Table(_) => self.list_file(&subject, value)?,
                other => {
                    let fault = format!(
                        "this is {other}, but a list is written as [\"…\", \"…\"], or as {{ file = \"…\" }}"
                    );
                    self.fault(value.at, &subject, &fault);
                    return None;
                }
            };
            Some(WrittenList { name: name.to_owned(), source })
        });
        lists.collect()
    }

    fn list_file(&mut self, subject: &str, node: &Node) -> Option<ListSource> {
        let entries = self.entries(subject, node, &["file", "column"]);
        let mut text = |key: &str| {
            let value = entries.iter().find(|(name, _)| *name == key)?.1;
            let subject = format!("{subject}`{key}`: ");
            let text = self.text(&subject, value)?;
            if key == "file"
                && let Some(fault) = fault_in_file_name(text)
            {
                self.fault(value.at, &subject, fault);
            }
            Some(text.to_owned())
        };
        let (file, column) = (text("file"), text("column"));
        if !entries.iter().any(|(name, _)| *name == "file") {
            self.fault(node.at, subject, "`file` is missing; it is the name of the file with the entries");
        }
        Some(ListSource::File { file: file?, column })
    }

    fn lets(&mut self, node: &Node) -> Vec<WrittenLet> {
        let entries = self.named_entries("`let`: ", node);
        let lets = entries.into_iter().filter_map(|(key, name, value)| {
            let subject = format!("let `{name}`: ");
            if !is_identifier(name) {
                self.fault(key.at, &subject, NO_IDENTIFIER);
            } else if RESERVED.contains(&name) {
                self.fault(key.at, &subject, "this name has a meaning already; choose another name");
            }
            let text = self.text(&subject, value)?.to_owned();
            Some(WrittenLet { name: name.to_owned(), expression: Source { at: value.at, text } })
        });
        lets.collect()
    }

    fn limits(&mut self, node: &Node) -> Limits {
        let entries = self.entries("`limits`: ", node, &["accept", "reject"]);
        let mut limits = Limits::default();
        for (key, value) in entries {
            let number =
                if let Value::Integer(number) = value.value { u64::try_from(number).ok() } else { None };
            if number.is_none() {
                let fault = format!("`{key}` has to be a whole number, such as 200");
                self.fault(value.at, "`limits`: ", &fault);
            }
            if key == "accept" { limits.accept = number } else { limits.reject = number }
        }
        limits
    }

    fn rules(&mut self, node: &Node) -> Vec<WrittenRule> {
        let mut names = HashSet::new();
        let rules = self.list("`rules`: ", node).iter().enumerate();
        rules.map(|(index, node)| self.rule(index, node, &mut names)).collect()
    }

    fn rule(&mut self, index: usize, node: &Node, names: &mut HashSet<String>) -> WrittenRule {
        let name_in = |entries: &[(Node, Node)]| {
            let (_, name) = entries.iter().find(|(key, _)| key.text() == Some("name"))?;
            name.text().filter(|name| !name.trim().is_empty()).map(str::to_owned)
        };
        let name = if let Value::Table(entries) = &node.value { name_in(entries) } else { None };
        let label =
            name.as_ref().map_or(format!("rule number {}", index + 1), |name| format!("rule `{name}`"));
        let subject = format!("{label}: ");
        let entries = self.entries(&subject, node, &["name", "then", "if", "unless", "reason", "repos"]);
        let get = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        if let Value::Table(_) = node.value {
            for (key, use_of_key) in
                [("name", "the name for the audit log"), ("then", "the verdict"), ("if", "the condition")]
            {
                if get(key).is_none() {
                    self.fault(node.at, &subject, &format!("`{key}` is missing; it is {use_of_key}"));
                }
            }
        }
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            self.fault(node.at, &subject, "another rule has the same name; give each rule its own name");
        }
        if name.is_none()
            && let Some(written) = get("name")
            && self.text(&format!("{subject}`name`: "), written).is_some()
        {
            self.fault(written.at, &subject, "`name` is empty; give the rule a name for the audit log");
        }
        let then = get("then").and_then(|then| self.verdict(&format!("{subject}`then`: "), then));
        let reason = get("reason")
            .zip(then)
            .and_then(|(reason, then)| self.reason(&format!("{subject}`reason`: "), reason, then));
        let repos = get("repos").map(|repos| self.repos(&format!("{subject}`repos`: "), repos));
        let mut source = |key: &str| {
            let written = get(key)?;
            let text = self.text(&format!("{subject}`{key}`: "), written)?.to_owned();
            Some(Source { at: written.at, text })
        };
        let (condition, unless) = (source("if"), source("unless"));
        // A missing key is a fault already. The rest of the rule is compiled, so that all its faults are found.
        let condition = condition.unwrap_or(Source { at: node.at, text: "true".to_owned() });
        let (name, then) = (name.unwrap_or_default().into(), then.unwrap_or(Verdict::Hold));
        WrittenRule { label, name, then, condition, unless, reason, repos }
    }

    fn repos(&mut self, subject: &str, node: &Node) -> Vec<RepoPattern> {
        let texts = self.texts(subject, node);
        if texts.is_empty() && matches!(&node.value, Value::List(list) if list.is_empty()) {
            self.fault(
                node.at,
                subject,
                "it names no repo; if the rule applies to all repos, remove `repos`, or else name one",
            );
        }
        RepoPattern::parse_all(texts.iter().map(String::as_str), "`repos`").unwrap_or_else(|faults| {
            for fault in &faults {
                self.fault(node.at, subject, fault);
            }
            Vec::new()
        })
    }
}

const NO_IDENTIFIER: &str = "a name consists of letters, digits and `_`, and does not begin with a digit";

fn is_identifier(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn fault_in_reason(reason: &str, then: Verdict) -> Option<String> {
    if matches!(then, Verdict::Accept | Verdict::Hold) {
        let then = then.as_str();
        return Some(format!(
            "it has no effect with `{then}`; remove it, because users see a reason only with `reject` or `reset`"
        ));
    }
    if reason.trim().is_empty() {
        return Some("it is empty; write one, or remove it".to_owned());
    }
    let length = reason.encode_utf16().count();
    (length > MAX_REASON)
        .then(|| format!("it has {length} characters; shorten it to {MAX_REASON}, the maximum on the Hub"))
}

/// The fault of a file's name that leads out of the folder of the policy. The same names are faults on every system.
fn fault_in_file_name(name: &str) -> Option<&'static str> {
    let leads_out = |part: &str| part == "..";
    let is_absolute = name.starts_with(['/', '\\', '~']) || name.get(1..2) == Some(":");
    if name.trim().is_empty() {
        Some("it is empty; name the file with the entries")
    } else if is_absolute || name.split(['/', '\\']).any(leads_out) {
        Some(
            "the file has to be in the folder of the policy or below it; write a path from there, such as `lists/signed.txt`",
        )
    } else {
        None
    }
}
