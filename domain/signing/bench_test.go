package signing

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
)

// A claim of ordinary size, so that hashing has its true share.
const benchReportBytes = 300

// benchSigners is a fleet: enough keys that a batch does not repeat one, few enough to be cached.
const benchSigners = 1024

func BenchmarkVerify(b *testing.B) {
	fleet := make([]signed, benchSigners)
	for i := range fleet {
		fleet[i] = honest(i, i, benchReportBytes)
	}

	b.Run("standard library", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s := fleet[i%len(fleet)]
			if !ed25519.Verify(s.key[:], signedBytes(nil, s.report), s.signature) {
				b.Fatal("an honest signature was refused")
			}
		}
	})
	for _, c := range []struct {
		name string
		keys int
	}{{"single, key not cached", 1}, {"single, key cached", benchSigners}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			verifier := NewVerifier(c.keys)
			for _, s := range fleet {
				verifier.Verify(s.key, s.report, s.signature)
			}
			for i := 0; b.Loop(); i++ {
				s := fleet[i%len(fleet)]
				if !verifier.Verify(s.key, s.report, s.signature) {
					b.Fatal("an honest signature was refused")
				}
			}
		})
	}
	for _, size := range []int{16, 64, 128, 256, 512, 1024} {
		b.Run(fmt.Sprintf("batch of %d, keys cached", size), func(b *testing.B) {
			benchmarkBatch(b, fleet, size, size)
		})
	}
	b.Run("batch of 256 with one bad, keys cached", func(b *testing.B) {
		benchmarkBatch(b, fleet, 256, 255)
	})
}

func benchmarkBatch(b *testing.B, fleet []signed, size, wantGood int) {
	b.Helper()
	b.ReportAllocs()
	verifier := NewVerifier(benchSigners)
	for _, s := range fleet {
		verifier.Verify(s.key, s.report, s.signature)
	}
	batch := verifier.NewBatch(size)
	for b.Loop() {
		for i, s := range fleet[:size] {
			if i >= wantGood {
				s.report = nil
			}
			batch.Add(s.key, s.report, s.signature)
		}
		holds, err := batch.Verify(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		good := 0
		for _, ok := range holds {
			if ok {
				good++
			}
		}
		if good != wantGood {
			b.Fatalf("%d of %d signatures hold, want %d", good, size, wantGood)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/signature")
}
