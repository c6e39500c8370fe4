// Package calltest runs test files (menu_test.lua): scripts that let simulated callers call the scripts under
// test, and say what these should hear. Each test has a switch, an engine and a virtual clock of its own, so tests
// run at the same time, take no longer than the machine computes, and come out the same each time.
package calltest
