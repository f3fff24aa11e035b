//! Visits all parts of a condition, and collects the warnings about each.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};

use super::super::check::kinds::Kind;
use super::super::functions::Constants;
use super::reads::Scope;
use super::{Uses, calls, text, trust};

/// What happens to a requester if a part of a condition is true.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The requester gets access, or is excepted from a rule that stops requests.
    LetsIn,
    /// The requester gets round a rule that stops the others: `hold` if `!…`. Its answers do not matter, because most such rules only
    /// ask for better answers.
    LetsBy,
    /// The requester is stopped.
    Stops,
    /// Nothing, or the part only makes a rule that accepts stricter.
    None,
}

impl Effect {
    /// The effect of a part if its negation has this effect.
    fn negated(self) -> Self {
        if self == Self::Stops { Self::LetsBy } else { Self::None }
    }
}

/// The visit of one condition.
pub(super) struct Search<'e, 'w> {
    scope: Scope<'e>,
    texts: &'w mut Vec<String>,
    uses: &'w mut Uses,
}

impl<'e, 'w> Search<'e, 'w> {
    /// Adds the warnings about a condition, and how it uses the lists.
    pub(super) fn of(
        condition: &'e IdedExpr,
        effect: Effect,
        constants: &'e Constants,
        texts: &'w mut Vec<String>,
        uses: &'w mut Uses,
    ) {
        Search { scope: Scope::new(constants), texts, uses }.visit(condition, effect);
    }

    /// The recursion is no deeper than that of the check.
    fn visit(&mut self, expression: &'e IdedExpr, effect: Effect) {
        match &expression.expr {
            Expr::Select(select) => self.visit(&select.operand, Effect::None),
            Expr::Call(call) => self.visit_call(call, effect),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element, effect)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key, Effect::None);
                        self.visit(&entry.value, Effect::None);
                    }
                }
            }
            Expr::Comprehension(c) => {
                if effect == Effect::LetsIn {
                    self.texts.extend(trust::of_macro(c, false));
                }
                // The elements of a list may be conditions.
                let is_list = matches!(c.iter_range.expr, Expr::List(_));
                self.visit(&c.iter_range, if is_list { effect } else { Effect::None });
                self.scope.enter(&c.iter_var, &c.iter_range);
                self.visit(&c.loop_step, effect);
                self.scope.leave();
            }
            _ => {}
        }
    }

    fn visit_call(&mut self, call: &'e CallExpr, effect: Effect) {
        let args = call.args.as_slice();
        match (call.func_name.as_str(), args) {
            (op::LOGICAL_NOT, [negated]) => self.visit(negated, effect.negated()),
            (op::LOGICAL_AND, _) => {
                let lets_in = matches!(effect, Effect::LetsIn | Effect::LetsBy);
                let names_users =
                    lets_in && args.iter().any(|part| trust::names_users(part, &mut self.scope));
                let effect = if names_users { Effect::None } else { effect };
                for part in args {
                    self.visit(part, effect);
                }
            }
            (op::LOGICAL_OR | op::CONDITIONAL, _) => {
                for part in args {
                    self.visit(part, effect);
                }
            }
            _ => self.visit_comparison(call, effect),
        }
    }

    /// Visits a call that is neither `&&`, `||`, `!` nor `?:`.
    fn visit_comparison(&mut self, call: &'e CallExpr, effect: Effect) {
        self.texts.extend(calls::of_call(call));
        // `a != b` is `!(a == b)`.
        let (function, effect) = match call.func_name.as_str() {
            op::NOT_EQUALS => (op::EQUALS, effect.negated()),
            function => (function, effect),
        };
        match effect {
            Effect::LetsIn | Effect::LetsBy => {
                let answers_count = effect == Effect::LetsIn;
                self.texts.extend(trust::of_call(function, call, &self.scope, answers_count));
                let others = trust::of_filter(call).or_else(|| trust::of_wait(call));
                self.texts.extend(others.filter(|_| answers_count));
            }
            Effect::Stops => self.texts.extend(blank_answer(call)),
            Effect::None => {}
        }
        self.texts.extend(self.wrong_id(call));
        self.add_use(call);
        let operands = call.target.as_deref().into_iter().chain(&call.args);
        operands.for_each(|operand| self.visit(operand, Effect::None));
    }

    /// `user.id == 'ada'` compares the id with a name.
    fn wrong_id(&self, call: &CallExpr) -> Option<String> {
        let [a, b] = call.args.as_slice() else { return None };
        let (value, other) = if text(a).is_some() { (b, a) } else { (a, b) };
        let is_id = self.scope.read(value).and_then(|read| read.kind()) == Some(Kind::Id);
        let is_comparison = matches!(call.func_name.as_str(), op::EQUALS | op::NOT_EQUALS | op::IN);
        let texts = self.scope.texts(other);
        let is_wrong = texts.may_be_shown && texts.all.iter().any(|text| !Kind::Id.fits(text));
        (is_id && is_comparison && is_wrong).then(|| {
            "an id has 24 digits from 0 to 9 and a to f; write the `_id` of the user, or compare `user.name`".to_owned()
        })
    }

    /// Notes what a rule looks up in a list.
    fn add_use(&mut self, call: &CallExpr) {
        let mut operands = call.target.as_deref().into_iter().chain(&call.args);
        let (Some(value), Some(list)) = (operands.next(), operands.next()) else { return };
        let kind = match call.func_name.as_str() {
            "under" => Some(Kind::Domain),
            op::IN => self.scope.read(value).and_then(|read| read.kind()),
            _ => None,
        };
        if let (Some((position, _)), Some(kind)) = (self.scope.list(list), kind) {
            self.uses.entry(position).or_default().insert(kind);
        }
    }
}

/// `fields['Purpose'] == ''` in a rule that stops requests.
fn blank_answer(call: &CallExpr) -> Option<String> {
    let [answer, other] = call.args.as_slice() else { return None };
    let is_answer = matches!(&answer.expr, Expr::Call(call) if call.func_name == op::INDEX
        && matches!(call.args.first().map(|of| &of.expr), Some(Expr::Ident(name)) if name == "fields"));
    (call.func_name == op::EQUALS && is_answer && text(other) == Some(""))
        .then(|| "an answer of blanks gets round `== ''`; write `fields['…'].trim() == ''`".to_owned())
}
