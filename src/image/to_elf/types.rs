//! The types of stabs: numbers, and what each stands for.

use std::collections::BTreeMap;

/// A type's number: of its file, and in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TypeId(pub(super) i32, pub(super) i32);

/// What a type is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Void,
    Integer {
        size: u32,
        signed: bool,
        character: bool,
    },
    Float {
        size: u32,
    },
    Pointer(TypeId),
    Function(TypeId),
    /// Element, and the last index; none where it is not known.
    Array(TypeId, Option<u32>),
    Struct {
        size: u32,
        union: bool,
        fields: Vec<Field>,
    },
    Enum(Vec<(String, i64)>),
    /// Another name for a type.
    Same(TypeId),
    /// Defined in another file, perhaps.
    Elsewhere {
        union: bool,
        name: String,
    },
}

/// A field of a structure; offsets and sizes are in bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: TypeId,
    pub(super) offset: u32,
    pub(super) size: u32,
}

/// Deepest nesting of a description, and most fields of one.
const DEEPEST: u32 = 64;
const MOST_FIELDS: usize = 4096;
/// Types without a number get one in a file that there is not.
const UNNAMED: i32 = -1;

/// The types of a unit.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub(super) known: BTreeMap<TypeId, Type>,
    /// Names: of types themselves (`t`), and of structures, unions and enumerations (`T`).
    pub(super) names: BTreeMap<TypeId, String>,
    pub(super) tags: BTreeMap<TypeId, String>,
}

/// The name of an entry and what is behind its colon.
pub(super) fn split_name(text: &str) -> Option<(&str, &str)> {
    // C++ has "::" in names; such names are left whole.
    let bytes = text.as_bytes();
    let mut at = text.find(':')?;
    while bytes.get(at + 1) == Some(&b':') {
        at = at + 2 + text.get(at + 2..)?.find(':')?;
    }
    Some((text.get(..at)?, text.get(at + 1..)?))
}

impl Types {
    /// Takes note of a name for a type.
    pub(super) fn define(&mut self, name: &str, letter: char, description: &str) {
        // "Tt" is a tag and a name at once.
        let both = letter == 'T' && description.starts_with('t');
        let description = if both { &description[1..] } else { description };
        let Some(id) = self.parse(description) else { return };
        if letter == 'T' && !name.trim().is_empty() {
            self.tags.entry(id).or_insert_with(|| name.to_owned());
        }
        if (letter == 't' || both) && !name.trim().is_empty() {
            self.names.entry(id).or_insert_with(|| name.to_owned());
        }
    }

    /// The number of the type that a text describes.
    pub(super) fn parse(&mut self, text: &str) -> Option<TypeId> {
        Reader { rest: text, types: self }.reference(0)
    }

    fn unnamed(&mut self, kind: Type) -> TypeId {
        let next = self.known.range(TypeId(UNNAMED, 0)..TypeId(UNNAMED + 1, i32::MIN)).count() as i32;
        let id = TypeId(UNNAMED, next);
        self.known.insert(id, kind);
        id
    }
}

/// Reads one description.
struct Reader<'a, 't> {
    rest: &'a str,
    types: &'t mut Types,
}

impl<'a> Reader<'a, '_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Everything up to a character, which is passed.
    fn until(&mut self, end: char) -> Option<&'a str> {
        let (text, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(text)
    }

    fn number(&mut self) -> Option<i64> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let signed = self.rest.len() - digits.len();
        let length = digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (text, rest) = self.rest.split_at(signed + length);
        self.rest = rest;
        text.parse().ok()
    }

    /// A bound of a range: octal where it begins with 0, and perhaps of more than 64 bits.
    fn bound(&mut self) -> Option<i128> {
        let text = self.until(';')?;
        match text.strip_prefix('0') {
            Some("") => Some(0),
            Some(octal) => i128::from_str_radix(octal, 8).ok(),
            None => text.parse().ok(),
        }
    }

    fn id(&mut self) -> Option<TypeId> {
        if !self.eat('(') {
            return Some(TypeId(0, i32::try_from(self.number()?).ok()?));
        }
        let file = i32::try_from(self.number()?).ok()?;
        let number = self.eat(',').then(|| self.number())??;
        self.eat(')').then_some(TypeId(file, i32::try_from(number).ok()?))
    }

    /// A type: its number, perhaps with its definition behind, or a definition alone.
    fn reference(&mut self, depth: u32) -> Option<TypeId> {
        if depth > DEEPEST {
            return None;
        }
        if !self.peek().is_some_and(|c| c == '(' || c == '-' || c.is_ascii_digit()) {
            let kind = self.definition(None, depth)?;
            return Some(self.types.unnamed(kind));
        }
        let id = self.id()?;
        if self.eat('=') {
            // Attributes, such as sizes in bits.
            while self.rest.starts_with('@') {
                self.until(';')?;
            }
            let kind = self.definition(Some(id), depth)?;
            self.types.known.insert(id, kind);
        }
        Some(id)
    }

    fn definition(&mut self, own: Option<TypeId>, depth: u32) -> Option<Type> {
        let first = self.peek()?;
        if first == '(' || first == '-' || first.is_ascii_digit() {
            let id = self.reference(depth + 1)?;
            return Some(if own == Some(id) { Type::Void } else { Type::Same(id) });
        }
        self.eat(first);
        match first {
            '*' | '&' => Some(Type::Pointer(self.reference(depth + 1)?)),
            'f' => Some(Type::Function(self.reference(depth + 1)?)),
            'k' | 'B' => Some(Type::Same(self.reference(depth + 1)?)),
            'r' => self.range(own, depth),
            'a' => {
                // The index's type is a range, whose upper end is all that matters.
                let index = self.eat('r').then(|| self.reference(depth + 1))?;
                index?;
                self.eat(';');
                let (_, last) = (self.bound()?, self.bound()?);
                let element = self.reference(depth + 1)?;
                Some(Type::Array(element, u32::try_from(last).ok()))
            }
            's' | 'u' => {
                let size = u32::try_from(self.number()?).ok()?;
                Some(Type::Struct { size, union: first == 'u', fields: self.fields(depth)? })
            }
            'e' => {
                let mut values = Vec::new();
                while !self.eat(';') && values.len() < MOST_FIELDS {
                    let name = self.until(':')?.to_owned();
                    values.push((name, self.number()?));
                    self.eat(',');
                }
                Some(Type::Enum(values))
            }
            'x' => {
                let union = self.peek()? == 'u';
                self.rest = self.rest.get(1..)?;
                Some(Type::Elsewhere { union, name: self.until(':')?.to_owned() })
            }
            _ => None,
        }
    }

    /// A range: integers by their bounds, floating point by its bytes.
    fn range(&mut self, own: Option<TypeId>, depth: u32) -> Option<Type> {
        let of = self.reference(depth + 1)?;
        self.eat(';');
        let (low, high) = (self.bound()?, self.bound()?);
        if high == 0 && low > 0 {
            return Some(Type::Float { size: u32::try_from(low).ok()? });
        }
        let character = own == Some(of) && low == 0 && high == 127
            || (low, high) == (-128, 127)
            || (low, high) == (0, 255);
        let (size, signed) = match (low, high) {
            (0, 127) => (1, true),
            // The bounds of 64 bits are octal numbers without a sign; those of an unsigned int are 0 and -1.
            (0, -1) => (4, false),
            (0, high) if high > i128::from(u32::MAX) => (8, false),
            (low, high) if low < i128::from(i32::MIN) || low > high || high > i128::from(u32::MAX) => {
                (8, true)
            }
            (0, high) if high > i128::from(i32::MAX) => (4, false),
            (0, 255) => (1, false),
            (0, 65535) => (2, false),
            (-128, 127) => (1, true),
            (-32768, 32767) => (2, true),
            (low, _) => (4, low < 0),
        };
        Some(Type::Integer { size, signed, character })
    }

    fn fields(&mut self, depth: u32) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        while !self.eat(';') {
            if fields.len() >= MOST_FIELDS || self.rest.is_empty() {
                return None;
            }
            let name = self.until(':')?.to_owned();
            let kind = self.reference(depth + 1)?;
            self.eat(',').then_some(())?;
            let offset = u32::try_from(self.number()?).ok()?;
            self.eat(',').then_some(())?;
            let size = u32::try_from(self.number()?).ok()?;
            self.eat(';');
            fields.push(Field { name, kind, offset, size });
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(texts: &[&str]) -> Type {
        let mut types = Types::default();
        let mut last = None;
        for text in texts {
            let (name, rest) = split_name(text).unwrap();
            types.define(name, rest.chars().next().unwrap(), &rest[1..]);
            last = types.parse(&rest[1..]);
        }
        types.known[&last.unwrap()].clone()
    }

    #[test]
    fn the_types_of_a_c_compiler_are_read() {
        let int = "int:t1=r1;-2147483648;2147483647;";
        assert_eq!(kind(&[int]), Type::Integer { size: 4, signed: true, character: false });
        assert_eq!(kind(&["char:t2=r2;0;127;"]), Type::Integer { size: 1, signed: true, character: true });
        assert_eq!(
            kind(&["unsigned int:t4=r1;0;-1;"]),
            Type::Integer { size: 4, signed: false, character: false }
        );
        let long = "long long int:t6=r1;01000000000000000000000;0777777777777777777777;";
        assert_eq!(kind(&[long]), Type::Integer { size: 8, signed: true, character: false });
        assert_eq!(kind(&["double:t13=r1;8;0;"]), Type::Float { size: 8 });
        assert_eq!(kind(&["void:t15=15"]), Type::Void);
        assert_eq!(kind(&[int, "p:t16=*1"]), Type::Pointer(TypeId(0, 1)));
        assert_eq!(kind(&[int, "a:t17=ar1;0;9;1"]), Type::Array(TypeId(0, 1), Some(9)));
        assert_eq!(
            kind(&["color:T18=ered:0,green:1,;"]),
            Type::Enum(vec![("red".into(), 0), ("green".into(), 1)])
        );
        let Type::Struct { size, fields, .. } = kind(&[int, "list:T20=s8value:1,0,32;next:21=*20,32,32;;"])
        else {
            panic!("no structure");
        };
        assert_eq!((size, fields.len(), fields[1].kind, fields[1].offset), (8, 2, TypeId(0, 21), 32));
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        let good = "list:T20=s8value:1,0,32;next:21=*20,32,32;a:22=ar1;0;9;1,64,320;;";
        for cut in 0..good.len() {
            for byte in [b';', b'(', b'*', b'=', b'-', b'9'] {
                let mut text = good.as_bytes().to_vec();
                text[cut] = byte;
                let text = String::from_utf8(text).unwrap();
                if let Some((name, rest)) = split_name(&text) {
                    Types::default().define(name, 'T', rest);
                }
                Types::default().parse(&text[..cut]);
            }
        }
        Types::default().parse(&"*".repeat(100_000));
    }
}
