//! What the text of a query may be, before anything of it is looked up: how deep its brackets go, and how many
//! fields it has once its fragments are spread out. Both are counted without doing the work they bound.

use super::errors::request_error;
use actum_model::limits::{GRAPHQL_FIELDS_MAX, GRAPHQL_NESTING_MAX};
use actum_model::{ErrorCode, Fault};
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, FragmentDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, ServerError};
use std::collections::{BTreeMap, HashMap};

/// A query that may be carried out.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) document: ExecutableDocument,
    /// What its operation does; nothing if it is not clear which is meant.
    pub(crate) operation: Option<OperationType>,
}

/// Parses a query within bounds.
pub(crate) fn check(
    query: &str,
    operation: Option<&str>,
    introspection: bool,
) -> Result<Bounded, ServerError> {
    if nesting(query) > GRAPHQL_NESTING_MAX {
        let message = format!("the brackets of the query go deeper than {GRAPHQL_NESTING_MAX}");
        return Err(refused(message, "send what is nested as a variable"));
    }
    let document = parse_query(query)?;
    let mut counter = Counter {
        fragments: &document.fragments,
        known: BTreeMap::new(),
        looks_inside: false,
    };
    let sets = document.operations.iter().map(|(_, operation)| operation);
    let fields = sets.fold(0_usize, |sum, operation| {
        sum.saturating_add(counter.fields(&operation.node.selection_set.node))
    });
    if fields > GRAPHQL_FIELDS_MAX {
        let message = format!("the query has more than {GRAPHQL_FIELDS_MAX} fields with its fragments");
        return Err(refused(message, "split it into several requests"));
    }
    if counter.looks_inside && !introspection {
        let hint = "the schema is in docs/graphql/schema.graphql; `actum graphql schema` prints it";
        return Err(refused("introspection is turned off here".to_owned(), hint));
    }
    let operation = match &document.operations {
        DocumentOperations::Single(single) => Some(single.node.ty),
        DocumentOperations::Multiple(several) => operation
            .and_then(|name| several.get(name))
            .map(|operation| operation.node.ty),
    };
    Ok(Bounded { document, operation })
}

fn refused(message: String, hint: &str) -> ServerError {
    request_error(&Fault::new(ErrorCode::InvalidInput, message).with_hint(hint))
}

/// How deep the brackets of a text go, outside strings and comments.
fn nesting(query: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = query.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = match first {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
                behind
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                behind
            }
            b'#' => behind_line(behind),
            b'"' => behind_string(behind),
            _ => behind,
        };
    }
    deepest
}

fn behind_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// What stands behind a string whose first quote is taken.
fn behind_string(text: &[u8]) -> &[u8] {
    if let Some(block) = text.strip_prefix(b"\"\"") {
        let mut rest = block;
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix(b"\\\"\"\"") {
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix(b"\"\"\"") {
                return behind;
            } else {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        return rest;
    }
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', _, behind @ ..] => behind,
            [b'"', behind @ ..] => return behind,
            // A string ends with its line; the parser says so.
            [b'\n', ..] | [] => return rest,
            [_, behind @ ..] => behind,
        };
    }
}

struct Counter<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// Fields of fragments; nothing while one is being counted, so that a cycle ends.
    known: BTreeMap<&'a str, usize>,
    /// Whether anything asks for the schema.
    looks_inside: bool,
}

impl<'a> Counter<'a> {
    fn fields(&mut self, set: &'a SelectionSet) -> usize {
        let mut sum = 0_usize;
        for selection in &set.items {
            let fields = match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    self.looks_inside |= name == "__schema" || name == "__type";
                    1 + self.fields(&field.node.selection_set.node)
                }
                Selection::InlineFragment(inline) => self.fields(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            };
            sum = sum.saturating_add(fields);
        }
        sum
    }

    fn fragment(&mut self, name: &Name) -> usize {
        let Some((name, fragment)) = self.fragments.get_key_value(name) else {
            return 0;
        };
        if let Some(known) = self.known.get(name.as_str()) {
            return *known;
        }
        self.known.insert(name, 0);
        let fields = self.fields(&fragment.node.selection_set.node);
        self.known.insert(name, fields);
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(query: &str) -> bool {
        check(query, None, true).is_ok()
    }

    #[test]
    fn brackets_are_counted_outside_strings_and_comments() {
        assert_eq!(nesting("{ a(b: [1, {c: 2}]) }"), 4);
        assert_eq!(nesting("{ a } # {{{{\n{ b }"), 1);
        assert_eq!(nesting(r#"{ a(b: "[[[\"[[") }"#), 2);
        assert_eq!(nesting(r#"{ a(b: """ [[ \""" [[ """) { c } }"#), 2);
        assert_eq!(nesting("\"never closed [[["), 0);
        assert_eq!(nesting("}}}{"), 1);
    }

    #[test]
    fn a_query_that_goes_too_deep_is_not_parsed() {
        let deep = |n: usize| format!("{{ a(b: {}{}) }}", "[".repeat(n), "]".repeat(n));
        assert!(passes(&deep(100)));
        assert!(!passes(&deep(200)));
        assert!(!passes(&deep(1_000_000)));
    }

    #[test]
    fn fragments_that_double_are_counted_and_not_spread() {
        let mut query = "{ ...f0 }".to_owned();
        for n in 0..60 {
            query.push_str(&format!(
                " fragment f{n} on Query {{ ...f{m} ...f{m} }}",
                m = n + 1
            ));
        }
        query.push_str(" fragment f60 on Query { a }");
        assert!(!passes(&query));
        assert!(
            passes("{ ...f } fragment f on Query { ...f a }"),
            "a cycle is for validation to refuse"
        );
    }

    #[test]
    fn introspection_may_be_off() {
        assert!(check("{ __schema { types { name } } }", None, false).is_err());
        assert!(
            check(
                "{ ...f } fragment f on Query { __type(name: \"U64\") { name } }",
                None,
                false
            )
            .is_err()
        );
        assert!(check("{ __typename a }", None, false).is_ok());
    }

    #[test]
    fn the_operation_is_known_if_it_is_clear() {
        let of = |query, name| check(query, name, true).unwrap().operation;
        assert_eq!(of("mutation { a }", None), Some(OperationType::Mutation));
        let both = "query A { a } mutation B { b }";
        assert_eq!(of(both, Some("B")), Some(OperationType::Mutation));
        assert_eq!(of(both, None), None);
    }
}
