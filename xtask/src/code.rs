//! Rust source with comments and literals blanked, so that a rule about code never trips over a sentence.
//!
//! This is a lexer for the few things that can hide code (comments, strings, characters), not a parser. Line
//! numbers stay true because newlines are kept.

/// `source` with every comment and every string, byte and character literal replaced by spaces.
pub(crate) fn blank_literals(source: &str) -> String {
    blank(source, |_| true)
}

/// `source` with every comment replaced by spaces, literals kept.
pub(crate) fn blank_comments(source: &str) -> String {
    blank(source, |first| first == '/')
}

/// Blanks the comments and literals whose first character is `wanted`; only comments begin with a slash.
fn blank(source: &str, wanted: impl Fn(char) -> bool) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while let Some(&here) = chars.get(at) {
        let end = literal_end(&chars, at);
        if end > at {
            let span = chars.get(at..end).unwrap_or_default();
            if wanted(here) {
                push_blank(&mut out, span);
            } else {
                out.extend(span);
            }
            at = end;
        } else {
            out.push(here);
            at += 1;
        }
    }
    out
}

/// The two halves of a blanked source: what is built into the product, and what stands in `#[cfg(test)]` items.
/// Both have as many lines as the whole.
pub(crate) fn split_tests(blanked: &str) -> (String, String) {
    let chars: Vec<char> = blanked.chars().collect();
    let marker: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut product = String::with_capacity(blanked.len());
    let mut tests = String::with_capacity(blanked.len());
    let mut at = 0;
    while let Some(&here) = chars.get(at) {
        if chars.get(at..).is_some_and(|rest| rest.starts_with(&marker)) {
            let end = item_end(&chars, at + marker.len());
            let item = chars.get(at..end).unwrap_or_default();
            push_blank(&mut product, item);
            tests.extend(item);
            at = end;
        } else {
            product.push(here);
            push_blank(&mut tests, &[here]);
            at += 1;
        }
    }
    (product, tests)
}

/// Whether the whole file is test code, going by its path.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
}

/// The parts of a file that are tests: all of it, or its `#[cfg(test)]` items.
pub(crate) fn test_code(path: &str, source: &str) -> String {
    let blanked = blank_literals(source);
    if is_test_path(path) {
        blanked
    } else {
        split_tests(&blanked).1
    }
}

/// The parts of a file that go into the product: none of a test file, all but the `#[cfg(test)]` items of others.
pub(crate) fn product_code(path: &str, source: &str) -> String {
    if is_test_path(path) {
        String::new()
    } else {
        split_tests(&blank_literals(source)).0
    }
}

/// Whether `c` can be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `needle` occurs in `line` with no identifier character right before or after it.
pub(crate) fn has_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(start, found)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line
            .get(start + found.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn push_blank(out: &mut String, chars: &[char]) {
    out.extend(chars.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let char_at = |index: usize| chars.get(index).copied();
    let in_word = at > 0 && char_at(at - 1).is_some_and(is_word);
    match (char_at(at), char_at(at + 1)) {
        (Some('/'), Some('/')) => position(chars, at, |c| c == '\n'),
        (Some('/'), Some('*')) => block_comment_end(chars, at),
        (Some('"'), _) => string_end(chars, at + 1),
        (Some('\''), Some('\\')) => position(chars, at + 3, |c| c == '\'') + 1,
        (Some('\''), Some(_)) if char_at(at + 2) == Some('\'') => at + 3,
        (Some('r'), _) if !in_word => raw_string_end(chars, at + 1).unwrap_or(at),
        (Some('b' | 'c'), Some('r')) if !in_word => raw_string_end(chars, at + 2).unwrap_or(at),
        _ => at,
    }
}

fn position(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    rest.iter()
        .position(|c| wanted(*c))
        .map_or(chars.len(), |offset| from + offset)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = at;
    while let Some(here) = chars.get(index) {
        let next = chars.get(index + 1);
        if *here == '/' && next == Some(&'*') {
            depth += 1;
            index += 2;
        } else if *here == '*' && next == Some(&'/') {
            depth -= 1;
            index += 2;
            if depth == 0 {
                return index;
            }
        } else {
            index += 1;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut index = from;
    while let Some(here) = chars.get(index) {
        match here {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// The end of a raw string whose hashes begin at `from`; nothing when it is a raw identifier or no string.
fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let open = position(chars, from, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - from;
    let mut index = open + 1;
    loop {
        let quote = position(chars, index, |c| c == '"');
        let close = quote + 1 + hashes;
        let tail = chars.get(quote + 1..close)?;
        if tail.iter().all(|c| *c == '#') {
            return Some(close);
        }
        index = quote + 1;
    }
}

/// The end of the item whose body or semicolon comes first after `from`.
fn item_end(chars: &[char], from: usize) -> usize {
    let open = position(chars, from, |c| c == '{' || c == ';');
    let mut depth = 0_usize;
    for (index, c) in chars.iter().enumerate().skip(open) {
        match c {
            ';' if depth == 0 => return index + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let source = "let a = \"HashMap\\\"\"; // HashMap\nlet b = 'h'; /* x /* y */ z */ let c: &'static str = r#\"\"q\"#;";
        let blanked = blank_literals(source);
        assert!(!blanked.contains("HashMap"));
        assert!(!blanked.contains('z'));
        assert!(!blanked.contains('q'));
        assert!(blanked.contains("&'static str"));
        assert_eq!(blanked.lines().count(), source.lines().count());
    }

    #[test]
    fn an_escaped_quote_character_does_not_open_a_string() {
        assert_eq!(blank_literals(r"a('\'', b'\n')").replace(' ', ""), "a(,b)");
        assert_eq!(blank_literals("a('\"', x)").replace(' ', ""), "a(,x)");
    }

    #[test]
    fn a_raw_identifier_is_no_raw_string() {
        assert_eq!(
            blank_literals("let r#type = br\"x\";").replace(' ', ""),
            "letr#type=;"
        );
    }

    #[test]
    fn test_items_are_told_from_the_product() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let (product, tests) = split_tests(source);
        assert!(product.contains("fn a") && product.contains("fn c") && !product.contains("fn b"));
        assert!(tests.contains("fn b") && !tests.contains("fn c"));
        assert_eq!(product.lines().count(), tests.lines().count());
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_hides_nothing_after_it() {
        let (product, _) = split_tests("#[cfg(test)]\nmod tests;\nfn kept() {}\n");
        assert!(product.contains("fn kept"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("use rand::Rng;", "rand"));
        assert!(!has_word("let operand = 1;", "rand"));
    }
}
