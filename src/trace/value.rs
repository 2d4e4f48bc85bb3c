//! A decoded value: what an argument, a result or a field means, before any rendering.
//!
//! Every rendering prints the same tree, so that a text line and a JSON object never disagree.
//! Must not know calls or memory.

/// What something means.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A number printed in base 16.
    Hex(u64),
    /// A number printed in base 8.
    Octal(u64),
    /// An address that is not followed; zero is NULL.
    Addr(u32),
    /// A number with a symbolic form.
    Symbol {
        /// The number.
        raw: u64,
        /// Its symbolic form.
        text: String,
    },
    /// A descriptor.
    Fd {
        /// Its number.
        fd: i32,
        /// What it refers to.
        about: Option<String>,
    },
    /// Bytes, printed as a C string.
    Bytes {
        /// The bytes, as many as are shown.
        bytes: Vec<u8>,
        /// There are more.
        more: bool,
    },
    /// A structure.
    Struct {
        /// Names and values of the fields.
        fields: Vec<(&'static str, Value)>,
        /// Fields are left out.
        more: bool,
    },
    /// Several values.
    List {
        /// The values, as many as are shown.
        items: Vec<Value>,
        /// There are more.
        more: bool,
    },
    /// A set of numbers, such as descriptors that are ready.
    Set(Vec<u32>),
    /// What it was and what it became.
    Change(Box<Value>, Box<Value>),
    /// A value behind a pointer to it.
    Boxed(Box<Value>),
    /// A value with a remark.
    Remark(Box<Value>, String),
}

impl Value {
    /// A symbolic form of a number.
    pub fn symbol(raw: u32, text: impl ToString) -> Self {
        Value::Symbol { raw: raw.into(), text: text.to_string() }
    }

    /// Fields without a name for the structure, all shown.
    pub fn fields(fields: Vec<(&'static str, Value)>) -> Self {
        Value::Struct { fields, more: false }
    }

    /// All of a list.
    pub fn list(items: Vec<Value>) -> Self {
        Value::List { items, more: false }
    }
}
