package seglog

// unsyncedDisk is a disk whose files are not waited for.
type unsyncedDisk struct{ disk }

func (d unsyncedDisk) open(name string, write bool) (file, error) {
	f, err := d.disk.open(name, write)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (d unsyncedDisk) create(name string) (file, error) {
	f, err := d.disk.create(name)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (unsyncedDisk) sync() error { return nil }

type unsyncedFile struct{ file }

// Sync implements file, by not doing it.
func (unsyncedFile) Sync() error { return nil }
