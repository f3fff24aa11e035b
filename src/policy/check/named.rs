//! The names that a policy gives: its lists, and the constants under `let`.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr};

use super::super::functions::{IN_LIST, IN_LIST_NAME, UNDER_LIST};
use super::super::lists::Entries;
use super::super::suggest::did_you_mean;
use super::kinds::{Kind, path};
use super::types::Type::{Bool, Name, Text};
use super::{Checked, CheckedLet, Checker, constants, slips};

impl Checker<'_> {
    /// Replaces the name of a constant `let`, or of a list in the document, by its value.
    pub(super) fn insert_constant(&mut self, expression: &mut IdedExpr) -> Result<(), String> {
        if let Expr::Ident(name) = &expression.expr
            && self.find_bound(name).is_none()
            && let Some((position, CheckedLet { constant: Some(constant), .. })) = self.scope.find_let(name)
        {
            self.findings.lets.insert(position);
            expression.expr = constant.clone();
        } else if let Some((position, name)) = self.find_list(expression)? {
            let list = self.scope.lists.get(position).filter(|list| !list.is_file);
            let Some(Ok(entries)) = list.map(|list| &list.entries) else {
                return Err(format!(
                    "`lists.{name}` is kept in a file, so it can only stand to the right of `in`, and in `under`"
                ));
            };
            expression.expr = constants::list_of(entries.iter()).expr;
        }
        Ok(())
    }

    /// The position and the name of the list that an expression such as `lists.name` names.
    fn find_list(&mut self, expression: &IdedExpr) -> Result<Option<(usize, String)>, String> {
        let name = match &expression.expr {
            Expr::Select(SelectExpr { operand, field, test: false }) if is_lists(operand) => field.as_str(),
            Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::INDEX => match args.as_slice() {
                [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }]
                    if is_lists(operand) =>
                {
                    name.inner()
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if self.find_bound("lists").is_some() {
            return Ok(None);
        }
        let Some(position) = self.scope.lists.position(name) else {
            return Err(format!("there is no list `{name}`{}", did_you_mean(name, self.scope.lists.names())));
        };
        self.findings.lists.insert(position);
        Ok(Some((position, name.to_owned())))
    }

    /// Checks and rewrites `text in lists.name` and `domain.under(lists.name)`. The cost of both does not depend on the list.
    pub(super) fn look_up(&mut self, call: &mut CallExpr) -> Result<Option<Checked>, String> {
        let mut operands = call.target.as_deref_mut().into_iter().chain(&mut call.args);
        let (Some(searched), Some(list), None) = (operands.next(), operands.next(), operands.next()) else {
            return Ok(None);
        };
        let is_under = call.func_name == "under";
        if !is_under && call.func_name != op::IN {
            return Ok(None);
        }
        let Some((position, name)) = self.find_list(list)? else { return Ok(None) };
        let Checked { ty, origin } = self.value(searched)?;
        if !matches!(ty, Text | Name) {
            let verb = if is_under { "`under`" } else { "`in`" };
            return Err(format!("{verb} does not apply to {ty} and a list (text)"));
        }
        let entries = self.scope.lists.get(position).filter(|list| !list.is_file).map(|list| &list.entries);
        if let Some(Ok(entries)) = entries {
            check_entries(entries, searched, is_under, ty == Name)
                .map_err(|fault| format!("in `lists.{name}`: {fault}"))?;
        }
        let function = match (is_under, ty) {
            (true, _) => UNDER_LIST,
            (false, Name) => IN_LIST_NAME,
            (false, _) => IN_LIST,
        };
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let position = IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(position.into())) };
        let args = vec![std::mem::take(searched), position, constants::variable()];
        *call = CallExpr { func_name: function.to_owned(), target: None, args };
        self.variables += 1;
        Ok(Some(Checked { ty: Bool, origin }))
    }
}

/// Checks the entries of a list in the document. If some fit, the other rules may look up values of another kind in the list.
fn check_entries(
    entries: &Entries,
    searched: &IdedExpr,
    is_under: bool,
    ignores_case: bool,
) -> Result<(), String> {
    let function = if is_under { "under" } else { op::EQUALS };
    let check = |entry: &str| slips::check_text(searched, function, entry, ignores_case);
    let has_kind = is_under || path(searched).is_some_and(|path| Kind::of(&path).is_some());
    let is_mixed = has_kind && entries.iter().any(|entry| check(entry).is_ok());
    let fits_another = |entry: &str| {
        is_mixed && [Kind::Account, Kind::Address, Kind::Domain].iter().any(|kind| kind.fits(entry))
    };
    entries.iter().filter(|entry| !fits_another(entry)).try_for_each(check)
}

fn is_lists(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "lists")
}
