//! The names of a pickle's tensors: the keys, places and attributes on the way to each, joined by dots. A module has the
//! names of its `state_dict()`.

use super::objects::{Id, Instance, Object, Objects};
use super::problem::{Problem, Result};
use super::tensor::{View, tensor_of};
use std::collections::HashSet;

/// Objects that are looked at, counted once for each way to them.
const MOST_VISITS: usize = 1 << 22;
/// Tensors, counted likewise.
const MOST_TENSORS: usize = 1 << 18;
/// Bytes of all names.
const MOST_LETTERS: usize = 1 << 26;
/// Objects on the way to one.
const MOST_DEEP: usize = 128;

/// All tensors below `root` with their names. `outside` gives what lies outside the pickle and is itself a tensor.
pub(super) fn tensors(
    objects: &Objects<'_>,
    root: Id,
    outside: &dyn Fn(Id) -> Option<View>,
) -> Result<Vec<(String, View)>> {
    let mut found = Vec::new();
    let (mut visits, mut letters) = (0, 0);
    // Objects to look at, each with how many stand above it and its name.
    let mut waiting = vec![(root, 0, String::new())];
    let mut above: Vec<Id> = Vec::new();
    while let Some((id, depth, name)) = waiting.pop() {
        above.truncate(depth);
        let view = match outside(id) {
            Some(view) => Some(view),
            None => tensor_of(objects, id).map_err(|unread| unread.of(&name))?,
        };
        if let Some(view) = view {
            found.push((name, view));
            within("tensors", found.len(), MOST_TENSORS)?;
            continue;
        }
        // An object may refer to one that holds it, as a trainer and its callbacks do.
        if above.contains(&id) {
            continue;
        }
        above.push(id);
        within("objects within each other", above.len(), MOST_DEEP)?;
        let children = children(objects, id);
        visits += 1 + children.len();
        within("named objects", visits, MOST_VISITS)?;
        let first = waiting.len();
        for (part, child) in children.into_iter().filter(|(_, child)| matters(objects, *child)) {
            let part = part.text(objects);
            letters += name.len() + part.len();
            within("letters in names", letters, MOST_LETTERS)?;
            let joint = if name.is_empty() || part.is_empty() { "" } else { "." };
            waiting.push((child, depth + 1, format!("{name}{joint}{part}")));
        }
        waiting[first..].reverse();
    }
    Ok(found)
}

fn within(what: &'static str, used: usize, limit: usize) -> Result<()> {
    if used > limit { Err(Problem::Limit { what, limit }) } else { Ok(()) }
}

/// A part of a name.
enum Part {
    /// Of what is only a wrapping.
    Nothing,
    Place(usize),
    Key(Id),
}

impl Part {
    fn text(&self, objects: &Objects<'_>) -> String {
        match self {
            Part::Nothing => String::new(),
            Part::Place(at) => at.to_string(),
            Part::Key(key) => objects.key(*key).unwrap_or_else(|| format!("?{key}")),
        }
    }
}

/// Whether a tensor could be in it.
fn matters(objects: &Objects<'_>, id: Id) -> bool {
    match objects.get(id) {
        Object::List(items) => !items.is_empty(),
        Object::Dict(entries) => !entries.is_empty(),
        Object::Instance(_) | Object::Persistent(_) => true,
        Object::None | Object::Flag(_) | Object::Integer(_) => false,
        Object::Text(_) | Object::Other | Object::Class(..) => false,
    }
}

/// What an object holds.
fn children(objects: &Objects<'_>, id: Id) -> Vec<(Part, Id)> {
    match objects.get(id) {
        Object::List(items) => listed(items),
        Object::Dict(entries) => keyed(entries),
        Object::Instance(instance) => {
            state_dict(objects, instance).unwrap_or_else(|| of_instance(objects, instance))
        }
        _ => Vec::new(),
    }
}

fn listed(items: &[Id]) -> Vec<(Part, Id)> {
    items.iter().enumerate().map(|(at, item)| (Part::Place(at), *item)).collect()
}

fn keyed(entries: &[(Id, Id)]) -> Vec<(Part, Id)> {
    entries.iter().map(|(key, value)| (Part::Key(*key), *value)).collect()
}

/// Of any class: what it was made of, what was put into it, its attributes.
fn of_instance(objects: &Objects<'_>, instance: &Instance) -> Vec<(Part, Id)> {
    let arguments = objects.list(instance.arguments).unwrap_or_default();
    let class = objects.class(instance.class);
    let mut children = match (class, arguments) {
        (Some(ORDERED), _) => keyed(&entries(objects, instance)),
        (Some((_, "_reconstructor")), [_, _, content]) => vec![(Part::Nothing, *content)],
        (_, [only]) => vec![(Part::Nothing, *only)],
        (_, several) => listed(several),
    };
    if class != Some(ORDERED) {
        children.extend(keyed(&instance.entries));
    }
    children.extend(listed(&instance.elements));
    children.extend(instance.states.iter().map(|state| (Part::Nothing, *state)));
    children
}

const ORDERED: (&str, &str) = ("collections", "OrderedDict");

/// What an ordered dict holds, also where Python 2 made it of pairs.
fn entries(objects: &Objects<'_>, instance: &Instance) -> Vec<(Id, Id)> {
    let pairs = match objects.list(instance.arguments) {
        Some([pairs]) => objects.list(*pairs).unwrap_or_default(),
        _ => &[],
    };
    let pairs = pairs.iter().filter_map(|pair| <[Id; 2]>::try_from(objects.list(*pair)?).ok());
    pairs.map(|[key, value]| (key, value)).chain(instance.entries.iter().copied()).collect()
}

/// Attributes of a module at most.
const MOST_ATTRIBUTES: usize = 1 << 12;

/// Parameters, buffers and modules of a `torch.nn.Module`, without the buffers that are not to be kept.
fn state_dict(objects: &Objects<'_>, instance: &Instance) -> Option<Vec<(Part, Id)>> {
    let [state] = instance.states[..] else { return None };
    if objects.entries(state)?.len() > MOST_ATTRIBUTES {
        return None;
    }
    let table = |name: &str| match objects.get(objects.entry(state, name)?) {
        Object::Dict(entries) => Some(entries.clone()),
        Object::Instance(instance) => Some(entries(objects, instance)),
        _ => None,
    };
    let (parameters, mut buffers, modules) = (table("_parameters")?, table("_buffers")?, table("_modules")?);
    if let Some(set) = objects.entry(state, "_non_persistent_buffers_set") {
        let passing = members(objects, set);
        buffers.retain(|(key, _)| objects.text(*key).is_none_or(|key| !passing.contains(key)));
    }
    Some([parameters, buffers, modules].iter().flat_map(|table| keyed(table)).collect())
}

/// The names in a set, however the pickle's protocol writes sets.
fn members<'a>(objects: &Objects<'a>, set: Id) -> HashSet<&'a str> {
    let items = match objects.get(set) {
        Object::Instance(instance) => match objects.list(instance.arguments) {
            Some([only]) => objects.list(*only),
            _ => None,
        },
        _ => objects.list(set),
    };
    items.unwrap_or_default().iter().filter_map(|item| objects.text(*item)).collect()
}
