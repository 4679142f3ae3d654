//! Limits the file descriptors that plugins make the process hold: open files, sockets, HTTP connections. Counted for
//! the tenant and for all tenants together: a process without free descriptors could accept no connection.

use std::sync::Arc;

use crate::limits::budget::{Budget, Total, Totals};

/// One of them, until it is dropped.
pub(crate) struct Descriptor {
    tenant: Arc<Budget>,
    all: Arc<Totals>,
}

impl Descriptor {
    /// Takes one more. The error says whether the tenant or all tenants together are at the limit.
    pub(crate) fn take(tenant: &Arc<Budget>, all: &Arc<Totals>) -> Result<Self, Total> {
        if !tenant.files.take(1) {
            return Err(Total::Files);
        }
        if !all.files.take(1) {
            tenant.files.give(1);
            return Err(Total::AllFiles);
        }
        Ok(Self { tenant: Arc::clone(tenant), all: Arc::clone(all) })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.all.files.give(1);
        self.tenant.files.give(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn descriptors_are_limited_for_each_tenant_and_in_total() {
        let tenant = || Arc::new(Budget::new(&Limits { tenant_open_files: 3, ..Limits::default() }));
        let (one, two, all) = (tenant(), tenant(), Arc::new(Totals::new(4, 0, 1)));
        let mut held: Vec<_> = (0..3).map(|_| Descriptor::take(&one, &all).unwrap()).collect();
        assert_eq!(Descriptor::take(&one, &all).err(), Some(Total::Files));
        let other = Descriptor::take(&two, &all).unwrap();
        assert_eq!(Descriptor::take(&two, &all).err(), Some(Total::AllFiles));
        held.pop();
        // A refused request has taken nothing.
        held.push(Descriptor::take(&two, &all).unwrap());
        assert_eq!((one.files.used(), two.files.used(), all.files.used()), (2, 2, 4));
        drop((held, other));
        assert_eq!((one.files.used(), two.files.used(), all.files.used()), (0, 0, 0));
    }
}
