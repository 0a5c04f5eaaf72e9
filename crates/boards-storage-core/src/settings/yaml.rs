//! YAML text to a tree with lines and columns. JSON is YAML.
//!
//! Settings do without some of YAML: tags (except for `!!str`), merge keys (`<<`), several documents, keys that are not text. Aliases work,
//! within the limits below.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::problem::{Origin, Problem, ProblemKind};
use super::tree::{Entry, FieldPath, Map, Node, TextKind, Value, read_plain};

/// The largest file.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The most values and fields in a file, counted after aliases are put in.
const NODES_MAX: usize = 50_000;
/// The deepest nesting, counted after aliases are put in.
const DEPTH_MAX: usize = 32;

/// Reads a file. What is wrong goes into `problems`; the rest of the tree is still worth checking.
///
/// Returns `None` after an error behind which nothing can be read.
pub(super) fn parse(file: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file: Arc::from(file),
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        node_count: 0,
        problems,
    };
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "the file has {} bytes, at most {TEXT_BYTES_MAX} are allowed",
            text.len()
        );
        builder.report(Marker::new(0, 1, 0), message);
        return None;
    }
    let mut documents = 0_usize;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::DocumentStart(_), span)) => {
                documents += 1;
                if documents > 1 {
                    builder.report(
                        span.start,
                        "the file has a second document; settings are one document",
                    );
                    break;
                }
            }
            Ok((event, span)) => {
                if let Err(Stop) = builder.on_event(event, span) {
                    return None;
                }
            }
            Err(error) => {
                let line = text
                    .lines()
                    .nth(error.marker().line().saturating_sub(1))
                    .unwrap_or_default();
                let problem = builder.problem(*error.marker(), format!("this is not YAML: {}", error.info()));
                let in_flow = line.contains("${") && line.contains(['{', '[']);
                builder.problems.push(if in_flow {
                    problem.with_help("put a value with ${…} in quotes inside of {…} and […]")
                } else {
                    problem
                });
                return None;
            }
        }
    }
    let start = Origin::File {
        file: Arc::from(file),
        line: 1,
        column: 1,
    };
    match builder.root {
        None => Some(Node::new(Value::Map(Map::new()), start)),
        Some(Node {
            value: Value::Null, ..
        }) => Some(Node::new(Value::Map(Map::new()), start)),
        Some(root) => Some(root),
    }
}

/// Nothing behind this can be read.
struct Stop;

struct Builder<'p> {
    file: Arc<str>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    node_count: usize,
    problems: &'p mut Vec<Problem>,
}

/// A map or list that is not complete yet.
struct Frame {
    collection: Collection,
    start: Marker,
    anchor: usize,
    /// The number of nodes in it so far, and the height of the tree below it.
    size: usize,
    height: usize,
}

enum Collection {
    List(Vec<Node>),
    Map { fields: Map, key: Option<Key> },
}

/// The key whose value comes next.
enum Key {
    Name(String, Marker),
    /// A problem was reported; the value is dropped.
    Unusable,
}

#[derive(Clone)]
struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

impl Builder<'_> {
    fn on_event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text_tag = tag
                    .as_ref()
                    .is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                self.refuse_tag(tag.is_some() && !is_text_tag, span.start);
                let plain = style == ScalarStyle::Plain && !is_text_tag;
                let value = if plain {
                    read_plain(&text)
                } else {
                    Value::Text(text.into_owned())
                };
                let mut node = Node::new(value, self.origin(span.start));
                node.text_kind = if plain { TextKind::Plain } else { TextKind::Fixed };
                self.complete(
                    Anchored {
                        node,
                        size: 1,
                        height: 0,
                    },
                    span.start,
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span.start);
                self.open(Collection::List(Vec::new()), span.start, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span.start);
                self.open(
                    Collection::Map {
                        fields: Map::new(),
                        key: None,
                    },
                    span.start,
                    anchor,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else {
                    return Err(Stop);
                };
                let value = match frame.collection {
                    Collection::List(items) => Value::List(items),
                    Collection::Map { fields, .. } => Value::Map(fields),
                };
                let node = Node::new(value, self.origin(frame.start));
                let complete = Anchored {
                    node,
                    size: frame.size + 1,
                    height: frame.height + 1,
                };
                self.complete(complete, frame.start, frame.anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(target) => {
                    // Its parts are counted again, for they are there again.
                    self.node_count += target.size;
                    self.complete(target, span.start, 0)
                }
                None => {
                    self.report(span.start, "an alias can't stand inside of what it names");
                    Err(Stop)
                }
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn refuse_tag(&mut self, has_tag: bool, start: Marker) {
        if has_tag {
            self.report(start, "tags are not supported, except for !!str");
        }
    }

    fn open(&mut self, collection: Collection, start: Marker, anchor: usize) -> Result<(), Stop> {
        self.stack.push(Frame {
            collection,
            start,
            anchor,
            size: 0,
            height: 0,
        });
        self.check_depth(self.stack.len(), start)
    }

    fn check_depth(&mut self, depth: usize, start: Marker) -> Result<(), Stop> {
        if depth > DEPTH_MAX {
            self.report(start, format!("this is nested deeper than {DEPTH_MAX} levels"));
            return Err(Stop);
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, complete: Anchored, start: Marker, anchor: usize) -> Result<(), Stop> {
        self.node_count += 1;
        if self.node_count > NODES_MAX {
            self.report(
                start,
                format!("the file has more than {NODES_MAX} values, aliases included"),
            );
            return Err(Stop);
        }
        self.check_depth(self.stack.len() + complete.height, start)?;
        if anchor > 0 {
            self.anchors.insert(anchor, complete.clone());
        }
        let Anchored {
            mut node,
            size,
            height,
        } = complete;
        let Some(mut frame) = self.stack.pop() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.size += size;
        frame.height = frame.height.max(height);
        match &mut frame.collection {
            Collection::List(items) => items.push(node),
            Collection::Map {
                key: key @ None,
                fields,
            } => *key = Some(self.read_key(node, start, fields)),
            Collection::Map { key, fields } => {
                if let Some(Key::Name(name, key_start)) = key.take() {
                    let origin = self.origin(key_start);
                    if matches!(node.value, Value::List(_) | Value::Map(_) | Value::Null) {
                        node.origin = origin.clone();
                    }
                    fields.insert(name, Entry { origin, node });
                }
            }
        }
        self.stack.push(frame);
        Ok(())
    }

    fn read_key(&mut self, node: Node, start: Marker, fields: &Map) -> Key {
        let name = match node.value {
            Value::Text(name) => name,
            _ => {
                let message = format!(
                    "expected text as the name of a field, found {}",
                    node.describe_kind()
                );
                let problem = self.problem(start, message);
                self.problems.push(problem.with_help("put the name in quotes"));
                return Key::Unusable;
            }
        };
        if name == "<<" && node.text_kind == TextKind::Plain {
            self.report(
                start,
                "merge keys ('<<') are not part of YAML 1.2; write the fields out",
            );
            return Key::Unusable;
        }
        if let Some(first) = fields.get(&name) {
            let line = if let Origin::File { line, .. } = first.origin {
                line
            } else {
                0
            };
            let path = self.path().field(&name);
            let message = format!("the field is given twice, first in line {line}");
            let origin = self.origin(start);
            self.problems
                .push(Problem::new(ProblemKind::Duplicate, path, &origin, message));
            return Key::Unusable;
        }
        Key::Name(name, start)
    }

    /// Returns the path of the innermost open map, whose own frame is taken off the stack.
    fn path(&self) -> FieldPath {
        self.stack
            .iter()
            .fold(FieldPath::default(), |path, frame| match &frame.collection {
                Collection::List(items) => path.item(items.len()),
                Collection::Map {
                    key: Some(Key::Name(name, _)),
                    ..
                } => path.field(name),
                Collection::Map { .. } => path,
            })
    }

    fn origin(&self, marker: Marker) -> Origin {
        Origin::File {
            file: Arc::clone(&self.file),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn problem(&self, marker: Marker, message: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::Syntax, "", &self.origin(marker), message)
    }

    fn report(&mut self, marker: Marker, message: impl Into<String>) {
        let problem = self.problem(marker, message);
        self.problems.push(problem);
    }
}

#[cfg(test)]
mod tests;
