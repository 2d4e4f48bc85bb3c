//! A small matcher of extended regular expressions, for names of calls.
//!
//! Understands `.`, `[...]`, `^`, `$`, `*`, `+`, `?`, `|` and groups; an expression matches anywhere unless it is
//! anchored.  Must not be used on long texts: it tries every way.

/// An expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Node);

#[derive(Clone, Debug)]
enum Node {
    /// Any of several.
    Any(Vec<Node>),
    /// One after the other.
    All(Vec<Node>),
    /// At least so many times, at most once or without limit.
    Repeat(Box<Node>, usize, bool),
    /// A character by a test.
    Char(Set),
    /// The beginning.
    Start,
    /// The end.
    End,
}

#[derive(Clone, Debug)]
struct Set {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Set {
    fn has(&self, c: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }
}

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 16;

impl Pattern {
    /// Reads an expression.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let node = alternatives(&chars, &mut at, 0).map_err(|e| format!("/{text}: {e}"))?;
        if at < chars.len() {
            return Err(format!("/{text}: unmatched )"));
        }
        Ok(Self(node))
    }

    /// Whether it matches anywhere in `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        (0..=chars.len()).any(|from| step(&self.0, &chars, from, &mut |_| true))
    }
}

/// Tries a node at a place and goes on with `then` at each place where it can end.
fn step(node: &Node, text: &[char], at: usize, then: &mut dyn FnMut(usize) -> bool) -> bool {
    match node {
        Node::Start => at == 0 && then(at),
        Node::End => at == text.len() && then(at),
        Node::Char(set) => text.get(at).is_some_and(|c| set.has(*c)) && then(at + 1),
        Node::Any(nodes) => nodes.iter().any(|n| step(n, text, at, then)),
        Node::All(nodes) => match nodes.split_first() {
            None => then(at),
            Some((first, rest)) => step(first, text, at, &mut |next| sequence(rest, text, next, then)),
        },
        Node::Repeat(inner, least, many) => repeat(inner, *least, *many, text, at, then),
    }
}

fn sequence(nodes: &[Node], text: &[char], at: usize, then: &mut dyn FnMut(usize) -> bool) -> bool {
    match nodes.split_first() {
        None => then(at),
        Some((first, rest)) => step(first, text, at, &mut |next| sequence(rest, text, next, then)),
    }
}

fn repeat(
    inner: &Node,
    least: usize,
    many: bool,
    text: &[char],
    at: usize,
    then: &mut dyn FnMut(usize) -> bool,
) -> bool {
    if least == 0 && then(at) {
        return true;
    }
    step(inner, text, at, &mut |next| {
        // A turn that takes nothing would go on for ever.
        let progress = next > at || least > 0;
        progress
            && if many { repeat(inner, least.saturating_sub(1), many, text, next, then) } else { then(next) }
    })
}

fn alternatives(text: &[char], at: &mut usize, depth: usize) -> Result<Node, String> {
    if depth > MAX_DEPTH {
        return Err("nested too deeply".into());
    }
    let mut all = vec![Vec::new()];
    while let Some(&c) = text.get(*at) {
        *at += 1;
        let node = match c {
            '|' => {
                all.push(Vec::new());
                continue;
            }
            ')' => {
                *at -= 1;
                break;
            }
            '(' => {
                let inner = alternatives(text, at, depth + 1)?;
                if text.get(*at) != Some(&')') {
                    return Err("unmatched (".into());
                }
                *at += 1;
                inner
            }
            '[' => Node::Char(bracket(text, at)?),
            '.' => Node::Char(Set { ranges: Vec::new(), negated: true }),
            '^' => Node::Start,
            '$' => Node::End,
            '*' | '+' | '?' => return Err(format!("nothing before {c}")),
            '\\' => {
                let c = *text.get(*at).ok_or("nothing behind \\")?;
                *at += 1;
                Node::Char(Set { ranges: vec![(c, c)], negated: false })
            }
            c => Node::Char(Set { ranges: vec![(c, c)], negated: false }),
        };
        let node = match text.get(*at) {
            Some('*') => Node::Repeat(Box::new(node), 0, true),
            Some('+') => Node::Repeat(Box::new(node), 1, true),
            Some('?') => Node::Repeat(Box::new(node), 0, false),
            _ => {
                push(&mut all, node);
                continue;
            }
        };
        *at += 1;
        push(&mut all, node);
    }
    Ok(Node::Any(all.into_iter().map(Node::All).collect()))
}

fn push(all: &mut [Vec<Node>], node: Node) {
    if let Some(last) = all.last_mut() {
        last.push(node);
    }
}

fn bracket(text: &[char], at: &mut usize) -> Result<Set, String> {
    let negated = text.get(*at) == Some(&'^');
    if negated {
        *at += 1;
    }
    let mut ranges = Vec::new();
    loop {
        let c = *text.get(*at).ok_or("unmatched [")?;
        *at += 1;
        if c == ']' && !ranges.is_empty() {
            return Ok(Set { ranges, negated });
        }
        match (text.get(*at), text.get(*at + 1)) {
            (Some('-'), Some(&high)) if high != ']' => {
                *at += 2;
                ranges.push((c, high));
            }
            _ => ranges.push((c, c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn expressions_match_as_egrep_does() {
        assert!(matches("sock", "getsockname"));
        assert!(!matches("^sock", "getsockname"));
        assert!(matches("^(get|set)[a-z]*id$", "getpgid") && !matches("^(get|set)[a-z]*id$", "getuids"));
        assert!(matches("a.c", "abc") && !matches("a.c", "ac"));
        assert!(matches("^ab+c?$", "abb") && !matches("^ab+c?$", "a"));
        assert!(matches("^[^o]", "read") && !matches("^[^o]", "open"));
        assert!(matches("old\\.stat", "old.stat") && !matches("old\\.stat", "oldxstat"));
        assert!(matches("(a*)*b", "aaab") && !matches("^(a*)*$", "aaab"));
    }

    #[test]
    fn broken_expressions_are_refused() {
        for bad in ["(", ")", "[a", "*a", "a|+", "\\"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        assert!(Pattern::new(&"(".repeat(1000)).is_err());
    }
}
