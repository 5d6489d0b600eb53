//! Tables that the whole process shares, each by its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::table::Table;
use crate::sync::ProcessLock;

/// They are not held here: a table that nobody sees through any more is gone, and so is its name
/// when the next one is made.
static TABLES: ProcessLock<BTreeMap<Arc<str>, Weak<Table>>> = ProcessLock::new(BTreeMap::new());

/// The table of that name, made if there is none.
pub(super) fn table(name: &str) -> Arc<Table> {
    let mut tables = TABLES.lock();
    if let Some(table) = tables.get(name).and_then(Weak::upgrade) {
        return table;
    }
    tables.retain(|_, table| table.strong_count() > 0);
    let table = Arc::<Table>::default();
    tables.insert(name.into(), Arc::downgrade(&table));
    table
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn is_known(name: &str) -> bool {
        TABLES.lock().contains_key(name)
    }

    #[test]
    fn a_table_is_one_for_all_and_goes_with_the_last_who_sees_it() {
        let (one, two) = (table("shared-a"), table("shared-a"));
        assert!(Arc::ptr_eq(&one, &two));
        let other = table("shared-b");
        assert!(!Arc::ptr_eq(&one, &other));
        drop(one);
        assert!(Arc::ptr_eq(&two, &table("shared-a")), "somebody has it");
        drop(two);
        drop(table("shared-c"));
        assert!(!is_known("shared-a"), "it went when the next one came");
        assert!(is_known("shared-b"));
        drop(other);
    }
}
