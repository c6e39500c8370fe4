// Package simcall is what `dial` and `test` share of simulated calls: what the dialplan's socket action holds, how
// legs behave of which nothing is said, and the words for what happens.
package simcall
