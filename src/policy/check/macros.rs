//! The macros of CEL: `exists`, `all`, `exists_one`, `map` and `filter`.

use cel::common::ast::{ComprehensionExpr, IdedExpr};

use super::origin::Origin;
use super::types::Type::{self, Answers, List, Map, Text};
use super::{Bound, Checked, Checker};

/// How deep macros may be nested. The requester decides how long a list is, and no evaluation can be interrupted.
const MAX_LOOPS: usize = 2;

impl Checker<'_> {
    /// `exists`, `all`, `exists_one`, `map` and `filter`, which the parser has expanded.
    pub(super) fn comprehension(&mut self, c: &mut ComprehensionExpr) -> Result<Checked, String> {
        let range = self.check(&mut c.iter_range)?;
        let each = match range.ty {
            List(element) => *element,
            Answers => Text,
            Map(key, _) => *key,
            other => {
                return Err(format!("a macro iterates over a list, a map or `fields`, not over {other}"));
            }
        };
        for name in std::iter::once(&c.iter_var).chain(&c.iter_var2) {
            if name == "lists" || self.scope.let_names().any(|other| other == name) {
                return Err(format!(
                    "the variable of a macro is called `{name}`, like a part of the policy; give it another name"
                ));
            }
        }
        let initial = self.check(&mut c.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(format!(
                "macros such as `exists` are nested more than {MAX_LOOPS} deep; split the rule"
            ));
        }
        let outer = self.bound.len();
        let mut origin = range.origin;
        self.bind(&c.iter_var, each, origin, (origin == Origin::Rule).then(|| c.iter_range.clone()));
        origin = origin.max(initial.origin);
        self.bind(&c.accu_var, initial.ty, origin, None);
        let condition = self.check(&mut c.loop_cond)?;
        // The accumulator may start as an empty list. Then the step gives its type.
        let step = self.check(&mut c.loop_step)?;
        origin = origin.max(condition.origin).max(step.origin);
        self.bind(&c.accu_var, step.ty, origin, None);
        let result = self.check(&mut c.result)?;
        self.bound.truncate(outer);
        self.loops -= 1;
        Ok(Checked { ty: result.ty, origin: origin.max(result.origin) })
    }

    fn bind(&mut self, name: &str, ty: Type, origin: Origin, range: Option<IdedExpr>) {
        self.bound.push(Bound { name: name.to_owned(), value: Checked { ty, origin }, range });
    }
}
