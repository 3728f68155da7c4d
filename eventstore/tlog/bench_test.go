package tlog

import (
	"testing"

	"github.com/filature/filature/domain"
)

// benchRecords are as many as a large checkpoint has.
const benchRecords = 200_000

// BenchmarkPublish hashes records of 300 bytes, writes their tiles with all syncs, and signs.
func BenchmarkPublish(b *testing.B) {
	record := make([]byte, 300)
	for b.Loop() {
		tree, err := OpenTree(testLog, ReadFolder(b.TempDir()), publicOf(testKey))
		if err != nil {
			b.Fatal(err)
		}
		for range benchRecords {
			if err := tree.Append(record); err != nil {
				b.Fatal(err)
			}
		}
		if err := grow(tree, benchRecords); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(benchRecords)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkProve makes and checks an inclusion proof from tiles on disk.
func BenchmarkProve(b *testing.B) {
	files := ReadFolder(b.TempDir())
	head := publish(b, files, benchRecords).Published()
	for b.Loop() {
		path, err := Read(files, head).Inclusion(benchRecords, benchRecords/3)
		if err != nil {
			b.Fatal(err)
		}
		if err := VerifyInclusion(head, domain.Offset(benchRecords/3), record(benchRecords/3), path); err != nil {
			b.Fatal(err)
		}
	}
}
