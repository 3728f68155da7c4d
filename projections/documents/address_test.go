package documents

import "testing"

// TestAPayeeIsWrittenAsItsWalletDoes compares with an address that tonutils-go and the dashboard write, too.
func TestAPayeeIsWrittenAsItsWalletDoes(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"a2d7ac4f1be1081db13a46af4365b1e93a70c75b7aaa285ee3811b7c709c1a4a": "UQCi16xPG-EIHbE6Rq9DZbHpOnDHW3qqKF7jgRt8cJwaSoy0",
		"": "", "0f": "0f", "nobody": "nobody",
	} {
		if have := address(id); have != want {
			t.Errorf("%s is written %s, want %s", id, have, want)
		}
	}
}
