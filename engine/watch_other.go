//go:build !linux

package engine

func eventless(string) string { return "" }
