//! Listings: the old one by folders, the new one by plain prefixes.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Shared;
use super::access::{Action, Role};
use super::reply::{Failure, Reply, ok};
use super::request::{Request, integer, required};
use super::state::{Object, iso};

const FIRST_LIMIT_MAX: usize = 1500;
const SECOND_LIMIT_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    Created,
    Updated,
}

#[derive(Clone, Copy, Debug)]
struct Sort {
    column: Column,
    descends: bool,
}

fn sort_of(body: &Value, columns: &[(&str, Column)]) -> Result<Option<Sort>, Failure> {
    let sort = &body["sortBy"];
    if sort.is_null() {
        return Ok(None);
    }
    let wrong = |what: &str| {
        Failure::schema(format!(
            "body/sortBy/{what} must be equal to one of the allowed values"
        ))
    };
    let column = match sort["column"].as_str() {
        None => Column::Name,
        Some(name) => columns
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, column)| *column)
            .ok_or_else(|| wrong("column"))?,
    };
    let descends = match sort["order"].as_str() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(wrong("order")),
    };
    Ok(Some(Sort { column, descends }))
}

fn folder_row(name: &str) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("name".to_owned(), json!(name));
    for field in ["id", "updated_at", "created_at", "last_accessed_at", "metadata"] {
        row.insert(field.to_owned(), Value::Null);
    }
    row
}

fn limit_of(body: &Value, default: usize, max: usize) -> Result<usize, Failure> {
    let asked = integer(body, "limit", 1)?;
    Ok(asked.map_or(default, |limit| usize::try_from(limit).unwrap_or(max).min(max)))
}

/// Returns the objects that the role may see.
fn visible(shared: &Shared, role: &Role, bucket: &str, prefix: &str) -> BTreeMap<String, Object> {
    let state = shared.state.lock();
    let Some(bucket) = state.buckets.get(bucket) else {
        return BTreeMap::new();
    };
    bucket
        .objects
        .range(prefix.to_owned()..)
        .take_while(|(name, _)| name.starts_with(prefix))
        .filter(|(name, _)| role.may(shared, Action::Select, &bucket.id, name))
        .map(|(name, object)| (name.clone(), object.clone()))
        .collect()
}

/// The old listing: one folder, relative names, ordered without regard to case.
pub(super) async fn first(shared: &Shared, request: &mut Request, bucket: &str) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let prefix = required(&body, "prefix")?;
    let limit = limit_of(&body, 100, FIRST_LIMIT_MAX)?;
    let offset = integer(&body, "offset", 0)?.unwrap_or(0);
    let columns = [
        ("name", Column::Name),
        ("updated_at", Column::Updated),
        ("created_at", Column::Created),
        ("last_accessed_at", Column::Created),
    ];
    let sort = sort_of(&body, &columns)?.unwrap_or(Sort {
        column: Column::Name,
        descends: false,
    });
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(false)?;
    let folder = match prefix.trim_end_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let search = body["search"].as_str().unwrap_or_default().to_lowercase();
    let mut folders = BTreeSet::new();
    let mut objects = Vec::new();
    for (name, object) in visible(shared, &role, bucket, &folder) {
        let relative = &name[folder.len()..];
        if !relative.to_lowercase().starts_with(&search) {
            continue;
        }
        match relative.split_once('/') {
            Some((first, _)) => {
                folders.insert(first.to_owned());
            }
            None => objects.push((relative.to_owned(), object)),
        }
    }
    let rows = order_first(sort, folders, objects);
    let rows: Vec<_> = rows
        .into_iter()
        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        .take(limit)
        .collect();
    Ok(ok(&json!(rows)))
}

fn order_first(
    sort: Sort,
    folders: BTreeSet<String>,
    mut objects: Vec<(String, Object)>,
) -> Vec<Map<String, Value>> {
    if sort.column == Column::Name {
        let mut rows: Vec<_> = folders
            .iter()
            .map(|name| ((name.to_lowercase(), 1), folder_row(name)))
            .chain(
                objects
                    .iter()
                    .map(|(name, object)| ((name.to_lowercase(), 0), object.listed(name))),
            )
            .collect();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        if sort.descends {
            rows.reverse();
        }
        return rows.into_iter().map(|(_, row)| row).collect();
    }
    objects.sort_by_key(|(name, object)| {
        let time = if sort.column == Column::Updated {
            object.updated
        } else {
            object.created
        };
        (time.as_millisecond(), object.serial, name.clone())
    });
    let mut folders: Vec<_> = folders.iter().map(|name| folder_row(name)).collect();
    if sort.descends {
        objects.reverse();
        folders.reverse();
    }
    let objects = objects.iter().map(|(name, object)| object.listed(name));
    folders.into_iter().chain(objects).collect()
}

/// Where a page of the new listing begins.
struct Cursor {
    last: String,
    sort: Sort,
    after: Option<String>,
}

fn parse_cursor(text: &str) -> Result<Cursor, Failure> {
    let wrong = || Failure::parameter("Invalid Parameter continuation token");
    let bytes = STANDARD.decode(text).map_err(|_not_base64| wrong())?;
    let plain = String::from_utf8(bytes).map_err(|_not_text| wrong())?;
    let mut cursor = Cursor {
        last: String::new(),
        sort: Sort {
            column: Column::Name,
            descends: false,
        },
        after: None,
    };
    for line in plain.split('\n') {
        match line.split_once(':').ok_or_else(wrong)? {
            ("l", last) => cursor.last = last.to_owned(),
            ("o", order) => cursor.sort.descends = order == "desc",
            ("c", "created_at") => cursor.sort.column = Column::Created,
            ("c", "updated_at") => cursor.sort.column = Column::Updated,
            ("a", after) => cursor.after = Some(after.to_owned()),
            _ => return Err(wrong()),
        }
    }
    Ok(cursor)
}

/// One entry of the new listing: an object, or a folder whose name ends with a slash.
struct Entry {
    name: String,
    object: Option<Object>,
}

impl Entry {
    fn sort_value(&self, column: Column) -> Option<String> {
        let object = self.object.as_ref()?;
        match column {
            Column::Name => None,
            Column::Created => Some(iso(object.created)),
            Column::Updated => Some(iso(object.updated)),
        }
    }
}

/// The new listing: a plain prefix, full names, byte order, cursors.
pub(super) async fn second(shared: &Shared, request: &mut Request, bucket: &str) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let prefix = body["prefix"].as_str().unwrap_or_default();
    let limit = limit_of(&body, SECOND_LIMIT_MAX, SECOND_LIMIT_MAX)?;
    let columns = [
        ("name", Column::Name),
        ("created_at", Column::Created),
        ("updated_at", Column::Updated),
    ];
    let asked = sort_of(&body, &columns)?;
    let folds = body["with_delimiter"].as_bool().unwrap_or(false);
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(false)?;
    let cursor = body["cursor"].as_str().map(parse_cursor).transpose()?;
    let sort = cursor
        .as_ref()
        .map(|cursor| cursor.sort)
        .or(asked)
        .unwrap_or(Sort {
            column: Column::Name,
            descends: false,
        });
    let objects = visible(shared, &role, bucket, prefix);
    let mut entries = if folds {
        fold(objects, prefix)
    } else {
        flat(objects)
    };
    entries.sort_by_key(|entry| (entry.sort_value(sort.column), entry.name.clone()));
    if sort.descends {
        entries.reverse();
    }
    if let Some(cursor) = &cursor {
        entries.retain(|entry| is_after(entry, cursor, folds));
    }
    let has_next = entries.len() > limit;
    entries.truncate(limit);
    let mut answer = json!({ "hasNext": has_next, "folders": [], "objects": [] });
    if has_next && let Some(last) = entries.last() {
        answer["nextCursor"] = json!(next_cursor(last, sort, asked.is_some() || cursor.is_some()));
        answer["nextCursorKey"] = json!(last.name);
    }
    for entry in &entries {
        let key =
            folds.then(|| entry.name[prefix.rfind('/').map_or(0, |slash| slash + 1)..].trim_end_matches('/'));
        let (list, mut row) = match &entry.object {
            Some(object) => ("objects", object.listed(&entry.name)),
            None => ("folders", folder_row(&entry.name)),
        };
        if let Some(key) = key {
            row.insert("key".to_owned(), json!(key));
        }
        if let Some(list) = answer[list].as_array_mut() {
            list.push(Value::Object(row));
        }
    }
    Ok(ok(&answer))
}

fn flat(objects: BTreeMap<String, Object>) -> Vec<Entry> {
    let entry = |(name, object)| Entry {
        name,
        object: Some(object),
    };
    objects.into_iter().map(entry).collect()
}

fn fold(objects: BTreeMap<String, Object>, prefix: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut folders = BTreeSet::new();
    for (name, object) in objects {
        match name[prefix.len()..].split_once('/') {
            Some((first, _)) => {
                folders.insert(format!("{prefix}{first}/"));
            }
            None => entries.push(Entry {
                name,
                object: Some(object),
            }),
        }
    }
    entries.extend(folders.into_iter().map(|name| Entry { name, object: None }));
    entries
}

/// After an object's name the server goes on behind a folder of the same name: that folder is lost, as was recorded.
fn is_after(entry: &Entry, cursor: &Cursor, folds: bool) -> bool {
    if folds && entry.name == format!("{}/", cursor.last) {
        return false;
    }
    let here = (entry.sort_value(cursor.sort.column), entry.name.as_str());
    let last = (cursor.after.clone(), cursor.last.as_str());
    if cursor.sort.descends {
        here < last
    } else {
        here > last
    }
}

fn next_cursor(last: &Entry, sort: Sort, with_order: bool) -> String {
    let mut lines = vec![format!("l:{}", last.name)];
    if with_order {
        lines.push(format!("o:{}", if sort.descends { "desc" } else { "asc" }));
    }
    let column = match sort.column {
        Column::Name => None,
        Column::Created => Some("created_at"),
        Column::Updated => Some("updated_at"),
    };
    if let (Some(column), Some(value)) = (column, last.sort_value(sort.column)) {
        lines.push(format!("c:{column}"));
        lines.push(format!("a:{value}"));
    }
    STANDARD.encode(lines.join("\n"))
}
