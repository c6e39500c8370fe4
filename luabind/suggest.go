package luabind

import "strings"

// Nearest is the name among names that was likely meant by name, or "".
func Nearest(name string, names []string) string {
	best, distance := "", max(len(name)/3, 1)+1
	for _, n := range names {
		if d := editDistance(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// didYouMean is ", did you mean `x`?" or "".
func didYouMean(name string, names []string) string {
	if n := Nearest(name, names); n != "" {
		return ", did you mean `" + n + "`?"
	}
	return ""
}

// editDistance counts the letters to insert, delete, change or swap with their neighbour.
func editDistance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
