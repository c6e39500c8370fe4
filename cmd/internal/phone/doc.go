// Package phone makes simulated calls to scripts: in lines for a pipe, or on a screen with keys to press.
//
// A [Call] is one call, on a switch and an engine of its own. It tells what happens as [Event]s, in order, to
// whoever made it: [Lines] prints them, [Recorder] writes them down as a test, and the [Model] of the screen shows
// them. [Print] and [Screen] are the two phones.
package phone
