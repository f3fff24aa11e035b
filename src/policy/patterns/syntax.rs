//! Parses a pattern, and rewrites it so that it has its meaning in cel-go. In the regex library, `\w`, `\d`, `\s` and `\b`
//! use Unicode, which makes a pattern a hundred times larger. In cel-go, they are limited to ASCII.

use regex_syntax::ast::{
    self, Assertion, Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet,
    ClassSetBinaryOp, ClassSetBinaryOpKind, ClassSetItem, ClassSetUnion, ClassUnicode, Flag, Flags,
    FlagsItem, FlagsItemKind, Group, GroupKind, Literal, LiteralKind, Span,
};
use regex_syntax::hir::{Class, Hir, HirKind, translate};

/// How deep a pattern may be nested.
const MAX_DEPTH: u32 = 100;

/// Parses a pattern, or returns the fault in it. Names are in ASCII lower case. So in a pattern for names, upper-case ASCII
/// letters match lower-case ones.
pub(super) fn parse(pattern: &str, for_names: bool) -> Result<Hir, String> {
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(MAX_DEPTH).build();
    let mut ast = parser.parse(pattern).map_err(|error| error.kind().to_string())?;
    Rewrite { for_names }.rewrite_pattern(&mut ast);
    translate::Translator::new().translate(pattern, &ast).map_err(|error| error.kind().to_string())
}

struct Rewrite {
    for_names: bool,
}

impl Rewrite {
    /// The recursion is no deeper than [`MAX_DEPTH`].
    fn rewrite_pattern(&self, ast: &mut Ast) {
        match ast {
            Ast::ClassPerl(class) => *ast = Ast::class_bracketed(in_ascii(class)),
            Ast::Assertion(assertion) => {
                let assertion = (**assertion).clone();
                *ast = without_unicode(assertion);
            }
            Ast::ClassBracketed(class) => self.rewrite_set(&mut class.kind),
            Ast::ClassUnicode(class) if self.for_names => {
                let kind = with_lower_case((**class).clone());
                *ast = Ast::class_bracketed(ClassBracketed { span: class.span, negated: false, kind });
            }
            Ast::Literal(literal) if self.for_names => make_lower_case(literal),
            Ast::Repetition(repetition) => self.rewrite_pattern(&mut repetition.ast),
            Ast::Group(group) => self.rewrite_pattern(&mut group.ast),
            Ast::Alternation(alternation) => {
                alternation.asts.iter_mut().for_each(|ast| self.rewrite_pattern(ast));
            }
            Ast::Concat(concat) => concat.asts.iter_mut().for_each(|ast| self.rewrite_pattern(ast)),
            Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
        }
    }

    fn rewrite_set(&self, set: &mut ClassSet) {
        match set {
            ClassSet::Item(item) => self.rewrite_item(item),
            ClassSet::BinaryOp(operation) => {
                self.rewrite_set(&mut operation.lhs);
                self.rewrite_set(&mut operation.rhs);
            }
        }
    }

    fn rewrite_item(&self, item: &mut ClassSetItem) {
        match item {
            ClassSetItem::Perl(class) => *item = ClassSetItem::Bracketed(Box::new(in_ascii(class))),
            ClassSetItem::Bracketed(class) => self.rewrite_set(&mut class.kind),
            ClassSetItem::Union(union) => union.items.iter_mut().for_each(|item| self.rewrite_item(item)),
            ClassSetItem::Literal(literal) if self.for_names => make_lower_case(literal),
            ClassSetItem::Range(range) if self.for_names => {
                let (span, mut items) = (range.span, vec![ClassSetItem::Range(range.clone())]);
                items.extend(lower_case_letters(span, |c| (range.start.c..=range.end.c).contains(&c)));
                *item = ClassSetItem::Union(ClassSetUnion { span, items });
            }
            ClassSetItem::Ascii(class) if self.for_names && class.kind == ClassAsciiKind::Upper => {
                class.kind = ClassAsciiKind::Lower;
            }
            ClassSetItem::Unicode(class) if self.for_names => {
                let (span, kind) = (class.span, with_lower_case(class.clone()));
                *item = ClassSetItem::Bracketed(Box::new(ClassBracketed { span, negated: false, kind }));
            }
            ClassSetItem::Empty(_)
            | ClassSetItem::Literal(_)
            | ClassSetItem::Range(_)
            | ClassSetItem::Ascii(_)
            | ClassSetItem::Unicode(_) => {}
        }
    }
}

fn make_lower_case(literal: &mut Literal) {
    if literal.c.is_ascii_uppercase() {
        *literal = self::literal(literal.span, literal.c.to_ascii_lowercase());
    }
}

/// The lower-case ASCII letters whose upper-case letter is in a class.
fn lower_case_letters(span: Span, is_in_class: impl Fn(char) -> bool) -> Vec<ClassSetItem> {
    let upper_case = ('A'..='Z').filter(|c| is_in_class(*c));
    upper_case.map(|c| ClassSetItem::Literal(literal(span, c.to_ascii_lowercase()))).collect()
}

/// Adapts a class to names in lower case. A class such as `\p{Lu}` gets the lower-case ASCII letters whose upper-case letters
/// it contains. A negated class such as `\P{Lu}` loses those whose upper-case letters it does not contain.
fn with_lower_case(class: ClassUnicode) -> ClassSet {
    let span = class.span;
    let alone = Ast::class_unicode(class.clone());
    let is_in_class = |c: char| match translate::Translator::new().translate("", &alone).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(ranges))) => {
            ranges.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c))
        }
        _ => false,
    };
    let is_negated = class.is_negated();
    let mut items = lower_case_letters(span, |c| is_in_class(c) != is_negated);
    let class = ClassSetItem::Unicode(class);
    if is_negated && !items.is_empty() {
        let lower = ClassSet::Item(ClassSetItem::Union(ClassSetUnion { span, items }));
        let (kind, lhs, rhs) = (ClassSetBinaryOpKind::Difference, ClassSet::Item(class), lower);
        return ClassSet::BinaryOp(ClassSetBinaryOp { span, kind, lhs: Box::new(lhs), rhs: Box::new(rhs) });
    }
    items.push(class);
    ClassSet::Item(ClassSetItem::Union(ClassSetUnion { span, items }))
}

/// `\d`, `\w` or `\s` with its meaning in cel-go.
fn in_ascii(class: &ClassPerl) -> ClassBracketed {
    let ClassPerl { span, kind, negated } = class;
    let ascii = |kind| ClassSetItem::Ascii(ClassAscii { span: *span, kind, negated: false });
    let item = match kind {
        ClassPerlKind::Digit => ascii(ClassAsciiKind::Digit),
        ClassPerlKind::Word => ascii(ClassAsciiKind::Word),
        ClassPerlKind::Space => {
            let blanks = ['\t', '\n', '\u{c}', '\r', ' '];
            let items = blanks.map(|c| ClassSetItem::Literal(literal(*span, c)));
            ClassSetItem::Union(ClassSetUnion { span: *span, items: items.into() })
        }
    };
    ClassBracketed { span: *span, negated: *negated, kind: ClassSet::Item(item) }
}

fn literal(span: Span, c: char) -> Literal {
    Literal { span, kind: LiteralKind::Verbatim, c }
}

/// `(?-u:\b)`, which is limited to ASCII letters. Assertions such as `^` do not depend on Unicode.
fn without_unicode(assertion: Assertion) -> Ast {
    let span = assertion.span;
    let items = [FlagsItemKind::Negation, FlagsItemKind::Flag(Flag::Unicode)];
    let flags = Flags { span, items: items.map(|kind| FlagsItem { span, kind }).into() };
    let kind = GroupKind::NonCapturing(flags);
    Ast::group(Group { span, kind, ast: Box::new(Ast::assertion(assertion)) })
}
