package luabind

// callShapes are the tables that call's verbs return.
var callShapes = []*Shape{
	{"Caller", "call.caller", []Field{
		{"number", "string", "The number, as the caller's side sent it."},
		{"name", "string", "The name, as the caller's side sent it."},
	}},
	{"Recording", "what record returns", []Field{
		{"path", "string", "Where it lies on the switch."},
		{"seconds", "number", "How long it is."},
		{"reason", "string", "Why it ended: max, silence, terminated by a digit, stopped by a handler, or ended by something else."},
		{"digit", "string?", "The digit that ended it."},
	}},
	{"Bridge", "what bridge returns", []Field{
		{"answered", "boolean", "Whether somebody answered."},
		{"cause", "string?", "The hangup cause of the other side."},
		{"disposition", "string?", "The outcome of the last attempt, as FreeSWITCH names it."},
		{"seconds", "number", "How long the two talked."},
		{"leg", "string?", "The other channel's UUID."},
		{"target", "string?", "Who was tried last."},
		{"stopped", "boolean?", "True when a handler ended it."},
	}},
	{"Visit", "what conference returns", []Field{
		{"name", "string", "The conference's."},
		{"member", "integer?", "The caller's number in it."},
		{"seconds", "number", "How long the caller was in it."},
		{"reason", "string", "left, stopped by a handler, or hangup for a leg."},
	}},
	{"Parked", "what valet_park returns", []Field{
		{"space", "string?", "Where the call was parked."},
		{"seconds", "number", "For how long."},
		{"reason", "string", "timeout, stopped by a handler, or ended: the lot was full."},
	}},
	{"Queued", "what fifo returns", []Field{
		{"reason", "string", "left by the key, stopped by a handler, served for side = \"out\", or ended."},
		{"key", "string?", "The key that the caller left with."},
		{"seconds", "number", "How long the caller waited."},
		{"status", "string?", "As FreeSWITCH's fifo_status."},
	}},
	{"Served", "what callcenter returns", []Field{
		{"answered", "boolean", "Whether an agent answered."},
		{"agent", "string?", "Which."},
		{"reason", "string", "answered, left by the key, stopped by a handler, no such queue, or FreeSWITCH's cc_cancel_reason, such as TIMEOUT."},
		{"key", "string?", "The key that the caller left with."},
		{"seconds", "number", "How long the caller waited."},
	}},
}

// Shapes are the tables that verbs and functions of modules return.
func Shapes() []*Shape {
	list := callShapes
	for _, m := range Modules {
		list = append(list[:len(list):len(list)], m.Shapes...)
	}
	return list
}
