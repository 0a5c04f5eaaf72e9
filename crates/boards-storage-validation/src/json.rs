//! JSON (RFC 8259) as a stream: an automaton whose memory is one bit for each open bracket.
//!
//! It builds no values and holds no token, so that a string of a gigabyte takes no more memory than one of a byte; the
//! parsers of other crates pull their input, or hold a token whole.

/// The greatest depth of nested arrays and objects.
pub(crate) const DEPTH_MAX: usize = 512;

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The syntax is wrong at this offset.
    Syntax(u64),
    TooDeep,
    /// The text ends within a value, or before one.
    Ended,
}

/// Whether one value is expected, or any number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    One,
    Many,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value, or in a new array its end.
    Value {
        may_close: bool,
    },
    /// A name, or in a new object its end.
    Name {
        may_close: bool,
    },
    Colon,
    /// Behind a value: a comma, a bracket, or the end.
    After,
    Text {
        is_name: bool,
    },
    Escape {
        is_name: bool,
    },
    Hex {
        is_name: bool,
        left: u8,
    },
    Word {
        rest: &'static [u8],
    },
    Number(Number),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Digits | Self::Fraction | Self::ExponentDigits
        )
    }

    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }
}

/// Checks JSON piece by piece. That it is UTF-8 is checked elsewhere.
#[derive(Debug)]
pub(crate) struct JsonCheck {
    values: Values,
    state: State,
    /// One for each open bracket: whether it is of an object.
    open: Vec<bool>,
    count: u64,
    offset: u64,
}

impl JsonCheck {
    pub(crate) fn new(values: Values) -> Self {
        Self {
            values,
            state: State::Value { may_close: false },
            open: Vec::new(),
            count: 0,
            offset: 0,
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let mut rest = piece;
        while let [byte, tail @ ..] = rest {
            if let State::Text { .. } = self.state {
                // Most of a JSON text is inside of strings.
                let plain = rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
                let plain = plain.unwrap_or(rest.len());
                if plain > 0 {
                    self.offset += plain as u64;
                    rest = &rest[plain..];
                    continue;
                }
            }
            self.step(*byte)?;
            self.offset += 1;
            rest = tail;
        }
        Ok(())
    }

    pub(crate) fn finish(&self) -> Result<(), Fault> {
        let is_whole = match self.state {
            State::After => true,
            State::Number(number) => number.is_whole(),
            State::Value { may_close: false } => self.values == Values::Many,
            _ => false,
        };
        if is_whole && self.open.is_empty() {
            Ok(())
        } else {
            Err(Fault::Ended)
        }
    }

    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        let wrong = Err(Fault::Syntax(self.offset));
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Number(number) => match number.next(byte) {
                Some(next) => self.state = State::Number(next),
                None if number.is_whole() => {
                    self.state = State::After;
                    return self.step(byte);
                }
                None => return wrong,
            },
            State::Word {
                rest: [expected, rest @ ..],
            } if *expected == byte => {
                self.state = if rest.is_empty() {
                    State::After
                } else {
                    State::Word { rest }
                };
            }
            State::Word { .. } => return wrong,
            State::Text { is_name } => match byte {
                b'"' => self.state = if is_name { State::Colon } else { State::After },
                b'\\' => self.state = State::Escape { is_name },
                0..=0x1F => return wrong,
                _ => {}
            },
            State::Escape { is_name } => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                    self.state = State::Text { is_name }
                }
                b'u' => self.state = State::Hex { is_name, left: 4 },
                _ => return wrong,
            },
            State::Hex { is_name, left } if byte.is_ascii_hexdigit() => {
                self.state = match left {
                    1 => State::Text { is_name },
                    _ => State::Hex {
                        is_name,
                        left: left - 1,
                    },
                };
            }
            State::Hex { .. } => return wrong,
            _ if is_space => {
                // Between the values of a sequence there is white space.
                if self.state == State::After && self.open.is_empty() && self.values == Values::Many {
                    self.state = State::Value { may_close: false };
                }
            }
            State::Colon if byte == b':' => self.state = State::Value { may_close: false },
            State::Colon => return wrong,
            State::Name { may_close } => match byte {
                b'"' => self.state = State::Text { is_name: true },
                b'}' if may_close => self.close(true)?,
                _ => return wrong,
            },
            State::After => match (byte, self.open.last()) {
                (b',', Some(true)) => self.state = State::Name { may_close: false },
                (b',', Some(false)) => self.state = State::Value { may_close: false },
                (b'}', Some(true)) => self.close(true)?,
                (b']', Some(false)) => self.close(false)?,
                _ => return wrong,
            },
            State::Value { may_close } => return self.begin(byte, may_close),
        }
        Ok(())
    }

    fn begin(&mut self, byte: u8, may_close: bool) -> Result<(), Fault> {
        self.count += 1;
        self.state = match byte {
            b'"' => State::Text { is_name: false },
            b'{' => return self.nest(true),
            b'[' => return self.nest(false),
            b']' if may_close => return self.close(false),
            b't' => State::Word { rest: b"rue" },
            b'f' => State::Word { rest: b"alse" },
            b'n' => State::Word { rest: b"ull" },
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Digits),
            _ => return Err(Fault::Syntax(self.offset)),
        };
        Ok(())
    }

    fn nest(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        self.open.push(is_object);
        self.state = if is_object {
            State::Name { may_close: true }
        } else {
            State::Value { may_close: true }
        };
        Ok(())
    }

    fn close(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.open.pop() != Some(is_object) {
            return Err(Fault::Syntax(self.offset));
        }
        self.state = State::After;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_json(text: &[u8]) -> bool {
        let mut check = JsonCheck::new(Values::One);
        check.update(text).and_then(|()| check.finish()).is_ok()
    }

    #[test]
    fn it_knows_the_same_texts_as_another_parser() {
        for text in [
            "{}",
            "[]",
            "[1,2]",
            "{\"a\":[null,true,false]}",
            "-0.5e+10",
            "\"\\u00e9\\n\"",
            " 1 ",
            "",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "01",
            "1.",
            "-",
            "1e",
            "tru",
            "nulll",
            "[}",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "1 2",
            "{\"a\":1,}",
            "[1 2]",
            "]",
            "\"",
            "[[]",
            "+1",
            ".5",
            "NaN",
            "'a'",
            "{\"a\" : {\"b\" : [ ] } }",
            "0",
            "[0,-1]",
        ] {
            let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(is_json(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_depth_is_limited() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(is_json(&nested(DEPTH_MAX)));
        let mut check = JsonCheck::new(Values::One);
        assert_eq!(check.update(&nested(DEPTH_MAX + 1)), Err(Fault::TooDeep));
    }

    #[test]
    fn lines_are_many_values() {
        let check = |text: &str| {
            let mut check = JsonCheck::new(Values::Many);
            check.update(text.as_bytes()).and_then(|()| check.finish())
        };
        assert_eq!(check("{\"a\":1}\n{\"a\":2}\n"), Ok(()));
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("{\"a\":1}{\"a\":2}"), Err(Fault::Syntax(7)));
        assert_eq!(check("{\"a\":1}\n{\"a\":"), Err(Fault::Ended));
    }

    proptest! {
        #[test]
        fn random_texts_of_its_alphabet_are_judged_as_another_parser_does(
            text in "[\\[\\]{}:,\"\\\\0-9a-f.eE+\\- truefalsn]{0,24}"
        ) {
            let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // Numbers beyond what that parser can hold are still JSON.
            if expected {
                prop_assert!(is_json(text.as_bytes()));
            } else if is_json(text.as_bytes()) {
                prop_assert!(text.contains(['e', 'E']));
            }
        }
    }
}
