//! The attribute or the answer that a value in a condition is made from.

use cel::common::ast::operators as op;
use cel::common::ast::{Expr, IdedExpr};

use super::super::check::kinds::{Kind, path};
use super::super::expressions::{call, int, is_variable, operands_of, text};
use super::super::functions::Constants;
use super::super::lists::{Entries, List};

/// The functions that change only the letters or the white space of a text.
const SLIGHT_EDITS: [&str; 4] = ["lowerAscii", "upperAscii", "trim", "string"];

/// What a value is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// The path of an attribute, such as `user.domain`, or `fields` for an answer.
    pub(super) source: String,
    /// Whether the value is the whole attribute, or an element of a list of names, and not a part of it.
    pub(super) is_whole: bool,
    /// Whether its letters were made small or capital.
    pub(super) is_folded: bool,
}

impl Read {
    fn whole(source: impl Into<String>) -> Self {
        Self { source: source.into(), is_whole: true, is_folded: false }
    }

    /// The kind of the value, if its form is known.
    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::of(&self.source).filter(|_| self.is_whole)
    }
}

/// The lists and the patterns of the policy, and the variables of the enclosing macros with their ranges. The innermost is last.
pub(super) struct Scope<'e> {
    pub(super) constants: &'e Constants,
    bound: Vec<(&'e str, &'e IdedExpr)>,
}

/// The constant texts that a value is compared with.
pub(super) struct Texts<'e> {
    pub(super) all: Vec<&'e str>,
    /// Whether a message may show them. It may not show the entries of a list.
    pub(super) may_be_shown: bool,
}

impl<'e> Scope<'e> {
    pub(super) fn new(constants: &'e Constants) -> Self {
        Self { constants, bound: Vec::new() }
    }

    /// Enters a macro, whose variable is known until [`Scope::leave`].
    pub(super) fn enter(&mut self, variable: &'e str, range: &'e IdedExpr) {
        self.bound.push((variable, range));
    }

    pub(super) fn leave(&mut self) {
        self.bound.pop();
    }

    /// What a value is made from, if it reads one attribute or answer.
    pub(super) fn read(&self, value: &IdedExpr) -> Option<Read> {
        self.read_in(value, self.bound.len())
    }

    /// Like [`Scope::read`], but only the outer variables are known.
    fn read_in(&self, value: &IdedExpr, depth: usize) -> Option<Read> {
        if let Some(path) = path(value) {
            return match path.split_once('.')? {
                ("fields", _) => Some(Read::whole("fields")),
                ("user" | "repo", _) => Some(Read::whole(path)),
                _ => None,
            };
        }
        match &value.expr {
            Expr::Ident(name) => {
                let (depth, range) = self.range(name, depth)?;
                self.element(range, depth)
            }
            Expr::List(list) => list.elements.iter().find_map(|element| self.read_in(element, depth)),
            // `map` changes the elements, and `filter` does not.
            Expr::Comprehension(c) => {
                let read = self.read_in(&c.iter_range, depth)?;
                let is_map = call(&c.loop_step).is_some_and(|(function, _)| function == op::ADD);
                Some(Read { is_whole: read.is_whole && !is_map, ..read })
            }
            _ => {
                let (function, operands) = call(value)?;
                match (function, operands.as_slice()) {
                    ("size", _) => None,
                    (op::INDEX, [of, index]) if self.is_domain(of, index, depth) => {
                        Some(Read::whole("user.domain"))
                    }
                    (op::INDEX, [of, _]) => self.element(of, depth),
                    _ => {
                        let read = operands.into_iter().find_map(|operand| self.read_in(operand, depth))?;
                        let joins_lists = function == op::ADD && read.source.ends_with("orgs");
                        let is_whole = read.is_whole && (joins_lists || SLIGHT_EDITS.contains(&function));
                        let is_folded = read.is_folded || matches!(function, "lowerAscii" | "upperAscii");
                        Some(Read { is_whole, is_folded, ..read })
                    }
                }
            }
        }
    }

    /// What an element of a list is made from.
    fn element(&self, list: &IdedExpr, depth: usize) -> Option<Read> {
        if is_variable(list, "fields") { Some(Read::whole("fields")) } else { self.read_in(list, depth) }
    }

    /// The range of the variable of a macro, and how many variables are outside of it.
    fn range(&self, name: &str, depth: usize) -> Option<(usize, &'e IdedExpr)> {
        let outer = self.bound.iter().take(depth).enumerate().rev();
        outer.filter(|(_, (bound, _))| *bound == name).map(|(at, (_, range))| (at, *range)).next()
    }

    /// `user.email.split('@')[1]` is the domain.
    fn is_domain(&self, parts: &IdedExpr, index: &IdedExpr, depth: usize) -> bool {
        operands_of("split", parts).is_some_and(|[of, separator]| {
            int(index) == Some(1)
                && text(separator) == Some("@")
                && self.read_in(of, depth).is_some_and(|read| read.source == "user.email")
        })
    }

    /// The list that `lists.name` names, and its position.
    pub(super) fn list(&self, expression: &IdedExpr) -> Option<(usize, &'e List)> {
        let path = path(expression)?;
        let position = self.constants.lists.position(path.strip_prefix("lists.")?)?;
        Some((position, self.constants.lists.get(position)?))
    }

    /// The constant texts that an expression can be: a text, the texts of a list, or the values of the variable of a macro.
    pub(super) fn texts<'a>(&'a self, expression: &'a IdedExpr) -> Texts<'a> {
        let mut texts = Texts { all: Vec::new(), may_be_shown: true };
        self.add_texts(expression, self.bound.len(), &mut texts);
        texts
    }

    fn add_texts<'a>(&'a self, expression: &'a IdedExpr, depth: usize, texts: &mut Texts<'a>) {
        if let Some((_, list)) = self.list(expression) {
            texts.may_be_shown = false;
            texts.all.extend(list.entries.iter().flat_map(Entries::iter));
            return;
        }
        match &expression.expr {
            Expr::List(list) => {
                list.elements.iter().for_each(|element| self.add_texts(element, depth, texts));
            }
            Expr::Ident(name) => {
                if let Some((depth, range)) = self.range(name, depth) {
                    self.add_texts(range, depth, texts);
                }
            }
            _ => texts.all.extend(text(expression)),
        }
    }
}
