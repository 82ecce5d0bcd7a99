package main

import (
	"slices"
	"testing"
)

func TestAFollowerThatSawAnythingButEveryEventOnceIsWrong(t *testing.T) {
	seen := [][]uint64{{1, 2, 3}, {1, 2}, {1, 3}, {1, 2, 2, 3}, {1, 3, 2}, {2, 3}, {1, 2, 3}}
	if wrong := otherThanAll(seen); !slices.Equal(wrong, []int{1, 2, 3, 4, 5}) {
		t.Error(wrong)
	}
	if wrong := otherThanAll([][]uint64{{1, 2}, {1, 2}}); len(wrong) > 0 {
		t.Error(wrong)
	}
}
