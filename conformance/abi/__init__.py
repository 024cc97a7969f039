"""The application binary interface, once: advices, structs, syscall numbers, errnos, VmFlags."""
