//! Visits all parts of a condition once, and applies the rules that find probable mistakes.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};

use super::super::check::kinds::Kind;
use super::super::expressions::operands;
use super::super::functions::Constants;
use super::reads::{Read, Scope};
use super::{Uses, calls, trust};

/// What happens to a requester if a part of a condition is true.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The requester gets access, or is excepted from a rule that stops requests.
    LetsIn,
    /// A rule does not stop the requester, but stops the others: `hold` if `!…`. Comparisons with answers cause no warning here, because
    /// most such rules only ask for better answers.
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

/// A call that is neither `&&`, `||`, `!` nor `?:`.
pub(super) struct Part<'p, 'e> {
    /// The name of the function. `a != b` is `!(a == b)`.
    pub(super) function: &'p str,
    pub(super) operands: &'p [&'e IdedExpr],
    pub(super) scope: &'p Scope<'e>,
}

impl<'e> Part<'_, 'e> {
    /// The operands, if there are two.
    pub(super) fn pair(&self) -> Option<[&'e IdedExpr; 2]> {
        self.operands.try_into().ok()
    }

    /// What each operand is made from.
    pub(super) fn reads(&self) -> Vec<Option<Read>> {
        self.operands.iter().map(|operand| self.scope.read(operand)).collect()
    }
}

/// Says why a part is probably wrong, and what to write instead.
type Rule = fn(&Part) -> Option<String>;

/// The rules, each with the effects of a part to which it applies.
const RULES: [(&[Effect], Rule); 12] = {
    use Effect::{LetsBy, LetsIn, None, Stops};
    const ANY: &[Effect] = &[LetsIn, LetsBy, Stops, None];
    [
        (ANY, calls::number_as_text),
        (ANY, calls::short_duration),
        (ANY, calls::weekday),
        (ANY, calls::difference_of_years),
        (ANY, calls::time_since_answer),
        (ANY, calls::wrong_id),
        (&[Stops], calls::blank_answer),
        (&[Stops], calls::capital_letters),
        (&[LetsIn, LetsBy], trust::part_of_a_value),
        (&[LetsIn], trust::answer),
        (&[LetsIn], trust::one_of_several),
        (&[LetsIn], trust::short_wait),
    ]
};

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

    /// The check has bounded the depth of the expression, so the recursion is bounded.
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
                    self.texts.extend(trust::one_answer(c, op::LOGICAL_OR));
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
        let operands = operands(call);
        let effect_of_operands = match call.func_name.as_str() {
            op::LOGICAL_NOT => effect.negated(),
            op::LOGICAL_AND if operands.iter().any(|part| self.names_users(part, effect)) => Effect::None,
            op::LOGICAL_AND | op::LOGICAL_OR | op::CONDITIONAL => effect,
            op::NOT_EQUALS => self.apply_rules(op::EQUALS, &operands, effect.negated()),
            function => self.apply_rules(function, &operands, effect),
        };
        for operand in operands {
            self.visit(operand, effect_of_operands);
        }
    }

    /// Whether the other parts of the same `&&` only make the condition stricter.
    fn names_users(&mut self, part: &'e IdedExpr, effect: Effect) -> bool {
        matches!(effect, Effect::LetsIn | Effect::LetsBy) && trust::names_users(part, &mut self.scope)
    }

    /// Returns the effect of the operands.
    fn apply_rules(&mut self, function: &str, operands: &[&'e IdedExpr], effect: Effect) -> Effect {
        let part = Part { function, operands, scope: &self.scope };
        let rules = RULES.iter().filter(|(effects, _)| effects.contains(&effect));
        self.texts.extend(rules.filter_map(|(_, rule)| rule(&part)));
        // Notes what the condition looks up in a list.
        if let [value, list, ..] = operands
            && let Some((position, _)) = self.scope.list(list)
        {
            let kind = match function {
                "under" => Some(Kind::Domain),
                op::IN => self.scope.read(value).and_then(|read| read.kind()),
                _ => None,
            };
            self.uses.entry(position).or_default().extend(kind);
        }
        Effect::None
    }
}
