//! Limits the file descriptors that plugins make the process hold: open files, sockets, HTTP connections. Counted for
//! the tenant and for all tenants together: a process without free descriptors could accept no connection.

use std::sync::Arc;

use crate::limits::budget::{Budget, Total, Totals};

/// One of them, until it is dropped.
pub(crate) struct Descriptor {
    tenant: Arc<Budget>,
    /// None if the process has none for it.
    all: Option<Arc<Totals>>,
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
        Ok(Self { tenant: Arc::clone(tenant), all: Some(Arc::clone(all)) })
    }

    /// Takes one more of the tenant's for what the process has no descriptor for: an end of a pipe.
    pub(crate) fn take_of_tenant(tenant: &Arc<Budget>) -> Result<Self, Total> {
        if !tenant.files.take(1) {
            return Err(Total::Files);
        }
        Ok(Self { tenant: Arc::clone(tenant), all: None })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            all.files.give(1);
        }
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
        // What the process has no descriptor for counts for the tenant alone.
        held.pop();
        let end = Descriptor::take_of_tenant(&one).unwrap();
        assert_eq!((Descriptor::take_of_tenant(&one).err(), one.files.used()), (Some(Total::Files), 3));
        assert_eq!(all.files.used(), 3);
        drop((held, other, end));
        assert_eq!((one.files.used(), two.files.used(), all.files.used()), (0, 0, 0));
    }
}
