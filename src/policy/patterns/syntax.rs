//! What a pattern means. The regex library knows Unicode in `\w`, `\d`, `\s` and `\b`, which makes them a hundred times
//! larger, and which cel-go does not.

use regex_syntax::ast::{
    self, Assertion, Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet,
    ClassSetItem, ClassSetUnion, Flag, Flags, FlagsItem, FlagsItemKind, Group, GroupKind, Literal,
    LiteralKind, Span,
};
use regex_syntax::hir::{Hir, translate};

/// How deep a pattern may nest.
const MAX_DEPTH: u32 = 100;

/// Reads a pattern, or says what is wrong with it.
pub(super) fn parse(pattern: &str) -> Result<Hir, String> {
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(MAX_DEPTH).build();
    let mut ast = parser.parse(pattern).map_err(|error| error.kind().to_string())?;
    rewrite(&mut ast);
    translate::Translator::new().translate(pattern, &ast).map_err(|error| error.kind().to_string())
}

/// Recurses no deeper than the parser allows.
fn rewrite(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => *ast = Ast::class_bracketed(in_ascii(class)),
        Ast::Assertion(assertion) => {
            let assertion = (**assertion).clone();
            *ast = without_unicode(assertion);
        }
        Ast::ClassBracketed(class) => rewrite_set(&mut class.kind),
        Ast::Repetition(repetition) => rewrite(&mut repetition.ast),
        Ast::Group(group) => rewrite(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(rewrite),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(rewrite),
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
    }
}

fn rewrite_set(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => rewrite_item(item),
        ClassSet::BinaryOp(operation) => {
            rewrite_set(&mut operation.lhs);
            rewrite_set(&mut operation.rhs);
        }
    }
}

fn rewrite_item(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Bracketed(Box::new(in_ascii(class))),
        ClassSetItem::Bracketed(class) => rewrite_set(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(rewrite_item),
        ClassSetItem::Empty(_)
        | ClassSetItem::Literal(_)
        | ClassSetItem::Range(_)
        | ClassSetItem::Ascii(_)
        | ClassSetItem::Unicode(_) => {}
    }
}

/// `\d`, `\w` or `\s` as cel-go knows it.
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

/// `(?-u:\b)`, which knows the letters of ASCII only. `^` and its like are the same either way.
fn without_unicode(assertion: Assertion) -> Ast {
    let span = assertion.span;
    let items = [FlagsItemKind::Negation, FlagsItemKind::Flag(Flag::Unicode)];
    let flags = Flags { span, items: items.map(|kind| FlagsItem { span, kind }).into() };
    let kind = GroupKind::NonCapturing(flags);
    Ast::group(Group { span, kind, ast: Box::new(Ast::assertion(assertion)) })
}
