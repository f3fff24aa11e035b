//! How the rules use the answers to the gate form, so that they can be held against the form. Found out when it is asked
//! for and not before: no decision needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::{Policy, Rule};

/// How a rule uses the answer to one question of the gate form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerUse {
    /// The name of the rule.
    pub rule: Arc<str>,
    /// The label of the question, as the rule writes it.
    pub label: String,
    /// Whether the rule asks anywhere if there is such an answer, so that a form without the question is nothing
    /// unforeseen.
    pub may_be_absent: bool,
    /// Whether each evaluation reads it. Behind `&&`, `||`, `?:` or in a macro, what else the rule asks may make it not
    /// matter whether there is such an answer.
    pub is_always_read: bool,
    /// The texts that the answer itself is compared with, by `==`, `!=` or `in`, where they are written outright.
    pub compared_with: BTreeSet<String>,
}

impl Policy {
    /// The answers that the rules use under a label that is written outright: in the order of the rules, and for each
    /// rule in that of the labels.
    ///
    /// What a rule reaches otherwise, as in `fields.exists(label, fields[label] == 'x')`, is not among them.
    #[must_use]
    pub fn answers(&self) -> Vec<AnswerUse> {
        self.rules.iter().flat_map(answers_of).collect()
    }
}

fn answers_of(rule: &Rule) -> Vec<AnswerUse> {
    let written = rule.condition.written();
    let mut search = Search { rule, found: BTreeMap::new(), is_conditional: false };
    search.look_into(&written);
    search.found.into_values().collect()
}

struct Search<'a> {
    rule: &'a Rule,
    /// By label.
    found: BTreeMap<&'a str, AnswerUse>,
    /// Whether what is looked into may not matter.
    is_conditional: bool,
}

impl<'a> Search<'a> {
    /// Recurses no deeper than the check of the expression did.
    fn look_into(&mut self, expression: &'a IdedExpr) {
        if let Some((label, is_test)) = label_in(expression) {
            let is_conditional = self.is_conditional;
            let answer = self.answer(label);
            answer.may_be_absent |= is_test;
            answer.is_always_read |= !is_test && !is_conditional;
        }
        let was_conditional = self.is_conditional;
        self.is_conditional |= is_condition(&expression.expr);
        match &expression.expr {
            Expr::Select(select) => self.look_into(&select.operand),
            Expr::Call(call) => {
                self.note_comparison(call);
                self.look_into_all(call.target.as_deref().into_iter().chain(&call.args));
            }
            Expr::List(list) => self.look_into_all(&list.elements),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.look_into_all([&entry.key, &entry.value]);
                    }
                }
            }
            // The rest of a macro is the parser's own.
            Expr::Comprehension(c) => {
                self.look_into(&c.iter_range);
                // Within one whose variable has the name, `fields` is no longer the form.
                if c.iter_var != "fields" {
                    self.look_into(&c.loop_step);
                }
            }
            Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
        self.is_conditional = was_conditional;
    }

    fn look_into_all(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) {
        for expression in expressions {
            self.look_into(expression);
        }
    }

    fn note_comparison(&mut self, call: &'a CallExpr) {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::EQUALS | op::NOT_EQUALS, [a, b]) => {
                self.note_compared(a, b);
                self.note_compared(b, a);
            }
            (op::IN, [answer, IdedExpr { expr: Expr::List(list), .. }]) => {
                for element in &list.elements {
                    self.note_compared(answer, element);
                }
            }
            _ => {}
        }
    }

    fn note_compared(&mut self, answer: &'a IdedExpr, with: &IdedExpr) {
        if let (Some((label, _)), Some(text)) = (label_in(answer), text(with)) {
            self.answer(label).compared_with.insert(text.to_owned());
        }
    }

    fn answer(&mut self, label: &'a str) -> &mut AnswerUse {
        self.found.entry(label).or_insert_with(|| AnswerUse {
            rule: Arc::clone(&self.rule.name),
            label: label.to_owned(),
            may_be_absent: false,
            is_always_read: false,
            compared_with: BTreeSet::new(),
        })
    }
}

/// Whether some of what is in it may not matter to what it gives.
fn is_condition(expression: &Expr) -> bool {
    match expression {
        Expr::Call(call) => {
            matches!(call.func_name.as_str(), op::LOGICAL_AND | op::LOGICAL_OR | op::CONDITIONAL)
        }
        Expr::Comprehension(_) => true,
        _ => false,
    }
}

/// The label in `fields['Label']` or `fields.Label`, and whether it is only tested for: `'Label' in fields` or
/// `has(fields.Label)`.
fn label_in(expression: &IdedExpr) -> Option<(&str, bool)> {
    match &expression.expr {
        Expr::Select(select) if is_form(&select.operand) => Some((&select.field, select.test)),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (op::INDEX, [of, label]) if is_form(of) => Some((text(label)?, false)),
            (op::IN, [label, of]) if is_form(of) => Some((text(label)?, true)),
            _ => None,
        },
        _ => None,
    }
}

fn is_form(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "fields")
}

fn text(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerUse, Policy};

    /// What is found in rules that are called 1, 2 and so on: `rule label`, then `?` if it may be absent, and what it
    /// is compared with.
    fn found(conditions: &[&str]) -> Vec<String> {
        let rules: Vec<_> = (1..)
            .zip(conditions)
            .map(|(number, condition)| {
                serde_json::json!({"name": format!("{number}"), "then": "accept", "if": condition})
            })
            .collect();
        let json = serde_json::json!({ "rules": rules }).to_string();
        let policy = Policy::parse(&json).unwrap_or_else(|faults| panic!("{json}: {faults:?}"));
        policy.answers().iter().map(show).collect()
    }

    fn show(answer: &AnswerUse) -> String {
        let absent = if answer.may_be_absent { "?" } else { "" };
        let label = format!("{} {}{absent}", answer.rule, answer.label);
        let texts = answer.compared_with.iter().cloned();
        [label].into_iter().chain(texts).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn answers_are_found_wherever_they_are_used_outright() {
        let cases: [(&str, &[&str]); 47] = [
            ("true", &[]),
            ("user.name == 'ada' && user['email'] == 'x' && 'pro' in user && has(repo.owner)", &[]),
            // However it is read.
            ("fields['A'].startsWith('x')", &["1 A"]),
            ("fields.A.startsWith('x')", &["1 A"]),
            ("fields[\"Full name, é\"] > 'x'", &["1 Full name, é"]),
            ("fields['A'] == fields['B']", &["1 A", "1 B"]),
            ("user.name == fields['A']", &["1 A"]),
            ("fields['A'].contains('x')", &["1 A"]),
            ("!bool(fields['A'])", &["1 A"]),
            ("int(fields['A']) + 1 > 18", &["1 A"]),
            ("fields.A < 'x' ? fields.B < 'x' : fields.C < 'x'", &["1 A", "1 B", "1 C"]),
            ("size([fields['A'], user.name]) > 1", &["1 A"]),
            ("{fields['A']: fields['B']} == {'x': 'y'}", &["1 A", "1 B"]),
            ("{'x': 'y'}[fields['A']] == 'y'", &["1 A"]),
            ("{'x': fields['A']}.x.startsWith('y')", &["1 A"]),
            ("{'fields': {'A': 'x'}}.fields.A == 'x'", &[]),
            // Whether it may be absent.
            ("'A' in fields", &["1 A?"]),
            ("!has(fields.A)", &["1 A?"]),
            ("'A' in fields && fields['A'] == 'x'", &["1 A? x"]),
            ("fields.A == 'x' || !('A' in fields)", &["1 A? x"]),
            ("has(fields.A) && fields['B'] == 'x'", &["1 A?", "1 B x"]),
            ("'A' in ['A'] && 'A' in {'A': 1} && has({'A': 1}.A)", &[]),
            // What it is compared with.
            ("fields['A'] == 'x'", &["1 A x"]),
            ("'x' == fields.A", &["1 A x"]),
            ("fields['A'] != 'x'", &["1 A x"]),
            ("'x' != fields.A", &["1 A x"]),
            ("fields['A'] in ['y', 'x', user.name, 'y']", &["1 A x y"]),
            ("!(fields['A'] in ['y'] || fields.A == 'x') && fields.B == 'z'", &["1 A x y", "1 B z"]),
            ("'x' in [fields['A']]", &["1 A"]),
            ("fields['A'] + 'z' == 'xz'", &["1 A"]),
            ("fields['A'] == 'x' + user.name", &["1 A"]),
            ("fields['A'] >= 'x'", &["1 A"]),
            ("user.name in ['x'] && fields.A < 'y'", &["1 A"]),
            // In macros.
            ("user.orgs.exists(org, org == fields['A'])", &["1 A"]),
            ("user.orgs.all(org, fields['A'] == 'x' || org == 'y')", &["1 A x"]),
            ("user.orgs.exists_one(org, has(fields.A))", &["1 A?"]),
            ("user.orgs.filter(org, fields.A == 'x').map(org, org + fields.B) == ['y']", &["1 A x", "1 B"]),
            ("[fields.A, fields.B].exists(answer, answer == 'x')", &["1 A", "1 B"]),
            // The label is not written outright, or `fields` is not.
            ("fields[user.name] == 'x'", &[]),
            ("user.name in fields", &[]),
            ("fields['A' + 'B'] == 'x'", &[]),
            ("fields[fields['A']] == 'x'", &["1 A"]),
            ("fields.exists(label, label == 'A' && fields[label] == 'x')", &[]),
            ("[fields].exists(form, form.A == 'x')", &[]),
            // A variable of that name is something else, as far as it reaches.
            ("[{'A': 'x'}].exists(fields, fields['A'] == 'x' && has(fields.A) && 'A' in fields)", &[]),
            (
                "[{'A': 'x'}].exists(fields, user.orgs.exists(o, o == fields.A)) || fields.B == 'y'",
                &["1 B y"],
            ),
            ("[fields['A']].exists(fields, fields == 'x')", &["1 A"]),
        ];
        for (condition, expected) in cases {
            assert_eq!(found(&[condition]), expected, "{condition}");
        }
    }

    #[test]
    fn they_are_in_the_order_of_the_rules_and_then_of_the_labels() {
        let rules = ["fields.B == 'x' && 'A' in fields", "true", "fields.A == 'y' || fields.B in []"];
        assert_eq!(found(&rules), ["1 A?", "1 B x", "3 A y", "3 B"]);
    }

    #[test]
    fn what_every_evaluation_reads_is_told_from_what_may_not_matter() {
        let cases = [
            ("fields['A'] == 'x'", true),
            ("!(fields['A'] in ['x', 'y'])", true),
            ("size(fields.A) > 3", true),
            ("user.pro && fields['A'] == 'x'", false),
            ("fields['A'] == 'x' || user.pro", false),
            ("user.pro ? fields.A == 'x' : true", false),
            ("user.orgs.exists(org, org == fields['A'])", false),
            ("user.orgs.map(org, org + fields['A']) == []", false),
            ("'A' in fields", false),
            ("(user.pro && fields.A == 'x') == (fields.A == 'y')", true),
        ];
        for (condition, expected) in cases {
            let rule = serde_json::json!({"name": "r", "then": "accept", "if": condition});
            let policy = Policy::parse(&serde_json::json!({"rules": [rule]}).to_string()).expect(condition);
            assert_eq!(policy.answers()[0].is_always_read, expected, "{condition}");
        }
    }
}
