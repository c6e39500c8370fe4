package luabind

// modules are what require finds besides scripts. Their names are globals too.
var modules = map[string]bool{"log": true}

// IsModule reports whether require finds a module of that name without a script.
func IsModule(name string) bool { return modules[name] }
