package domain

import (
	"bufio"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
)

func TestAdjustTokensGivesWhatCocoonsExpressionGivesInC(t *testing.T) {
	file, err := os.Open("testdata/adjust_tokens.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	vectors, differ := 0, 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var tokens, want int64
		var coefficient, multiplier uint32
		if _, err := fmt.Sscan(lines.Text(), &tokens, &coefficient, &multiplier, &want); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if got, ok := adjustTokens(tokens, coefficient, multiplier); !ok || got != want {
			t.Errorf("%s: got %d, %v", lines.Text(), got, ok)
		}
		vectors++
		exact := new(big.Int).Mul(big.NewInt(tokens), big.NewInt(int64(coefficient)*int64(multiplier)))
		if exact.Quo(exact, big.NewInt(exactUnit)).Int64() != want {
			differ++
		}
	}
	if vectors != 200 || differ < 90 {
		t.Errorf("%d vectors, of which %d tell the float from the exact product; want 200 and 90", vectors, differ)
	}
}
