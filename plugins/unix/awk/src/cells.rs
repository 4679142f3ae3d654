//! Where variables keep what they have.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::value::Value;

/// The elements of an array, by their indices.
pub(crate) type Elements = HashMap<Rc<[u8]>, Value>;

/// An array; functions get the same one.
pub(crate) type Array = Rc<RefCell<Elements>>;

/// A variable.
#[derive(Debug, Clone, Default)]
pub(crate) enum Cell {
    /// Neither a value nor an array yet.
    #[default]
    Unset,
    Value(Value),
    Array(Array),
    /// A parameter for which a variable was given that was neither: used as an array, both become this one.
    Offered(Array),
}

impl Cell {
    /// The array, which the cell becomes if it is nothing yet. None of a value.
    pub(crate) fn array(&mut self) -> Option<Array> {
        match self {
            Self::Array(array) => return Some(Rc::clone(array)),
            Self::Value(_) => return None,
            Self::Unset => *self = Self::Array(Array::default()),
            Self::Offered(array) => *self = Self::Array(Rc::clone(array)),
        }
        self.array()
    }

    /// The value. None of an array.
    pub(crate) fn value(&self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Unset | Self::Offered(_) => Some(Value::Unset),
            Self::Array(_) => None,
        }
    }
}

/// The indices in order: as numbers, if all are, and else as texts.
pub(crate) fn sorted_indices(elements: &Elements) -> Vec<Rc<[u8]>> {
    let mut indices: Vec<Rc<[u8]>> = elements.keys().cloned().collect();
    let numbers: Option<HashMap<Rc<[u8]>, f64>> = indices
        .iter()
        .map(|index| crate::value::looks_numeric(index).map(|number| (Rc::clone(index), number)))
        .collect();
    match numbers {
        Some(numbers) => indices.sort_by(|one, other| numbers[one].total_cmp(&numbers[other])),
        None => indices.sort(),
    }
    indices
}
