package documents

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

func TestAmountsAreRoundedOnceAndHalfToEven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		coins, rate string
		digits      uint32
		want        string
	}{
		{"1", "1.5432", 2, "1.54"},
		{"-1", "1.5432", 2, "-1.54"},
		{"0.005", "1", 2, "0.00"},
		{"0.015", "1", 2, "0.02"},
		{"0.025", "1", 2, "0.02"},
		{"-0.025", "1", 2, "-0.02"},
		{"-0.004", "1", 2, "0.00"},
		{"0.000000001", "5000000.0000001", 2, "0.01"}, // just above the half
		{"2.5", "1", 0, "2"},
		{"3.5", "1", 0, "4"},
		{"1.0005", "1", 3, "1.000"},
		{"5000000000", "3.1", 2, "15500000000.00"},
	} {
		nano, err := domain.ParseCoins(c.coins)
		if err != nil {
			t.Fatal(err)
		}
		have, err := fiat(nano, &queryv1.FiatRate{Rate: c.rate, Digits: c.digits})
		if err != nil || have != c.want {
			t.Errorf("%s at %s to %d digits is %s, want %s (%v)", c.coins, c.rate, c.digits, have, c.want, err)
		}
	}
}

// TestAnEntryBalancesInACurrencyToo: whatever the rate, what rounding left is taken by one more posting.
func TestAnEntryBalancesInACurrencyToo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := &queryv1.FiatRate{Rate: rapid.StringMatching(`[1-9][0-9]{0,3}\.[0-9]{1,8}`).Draw(t, "rate"), Digits: uint32(rapid.IntRange(0, 3).Draw(t, "digits"))}
		var e entry
		left := domain.Nano(0)
		for range rapid.IntRange(1, 6).Draw(t, "postings") {
			amount := domain.Nano(rapid.Int64Range(-1e14, 1e14).Draw(t, "amount"))
			e.postings, left = append(e.postings, entryPosting{debit: amount}), left-amount
		}
		e.postings = append(e.postings, entryPosting{debit: left})
		postings := len(e.postings)
		if err := e.inFiat(rate); err != nil {
			t.Fatal(err)
		}
		sum := domain.Nano(0)
		for _, p := range e.postings {
			units, err := domain.ParseCoins(p.fiat) // decimals of up to three digits are coins as well
			if err != nil {
				t.Fatal(err)
			}
			sum += units
		}
		if sum != 0 || len(e.postings) > postings+1 {
			t.Errorf("in the currency %d postings come to %s", len(e.postings), sum)
		}
	})
}

const someDay = 1_796_000_000_000 // 2026-11-30

func TestARateIsThatOfItsDayAndItsWantNamesTheDay(t *testing.T) {
	t.Parallel()
	prices, err := ReadPrices(strings.NewReader("date,currency,rate,source\n2026-11-30,EUR,1.5432,the bank\n2026-11-30,JPY,250,the bank\n"))
	if err != nil {
		t.Fatal(err)
	}
	rate, err := prices.At("JPY", someDay)
	if err != nil || rate.Rate != "250" || rate.Digits != 0 || rate.Day != "2026-11-30" || rate.Source != "the bank" {
		t.Errorf("the rate is %v (%v)", rate, err)
	}
	if rate, err := prices.At("EUR", someDay); err != nil || rate.Digits != 2 {
		t.Errorf("the rate is %v (%v)", rate, err)
	}
	for currency, want := range map[string]string{"EUR": "2026-12-01", "euro": "ISO 4217", "USD": "2026-12-01"} {
		if _, err := prices.At(currency, someDay+86_400_000); !errors.Is(err, ErrNoRate) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s named", currency, err, want)
		}
	}
	if _, err := (*Prices)(nil).At("EUR", someDay); !errors.Is(err, ErrNoRate) {
		t.Errorf("without prices: %v", err)
	}
}

func TestAPriceFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	const head = "date,currency,rate,source\n"
	for name, c := range map[string]struct{ file, says string }{
		"no columns":        {"", "EOF"},
		"other columns":     {"day,currency,rate,source\n", "line 1"},
		"a day that is not": {head + "2026-11-31,EUR,1,x\n", "line 2: date"},
		"no currency":       {head + "2026-11-30,eur,1,x\n", "line 2: currency"},
		"a rate of zero":    {head + "2026-11-30,EUR,0.0,x\n", "line 2: rate"},
		"below zero":        {head + "2026-11-30,EUR,-1,x\n", "line 2: rate"},
		"an exponent":       {head + "2026-11-30,EUR,1e3,x\n", "line 2: rate"},
		"no number":         {head + "2026-11-30,EUR,NaN,x\n", "line 2: rate"},
		"too long":          {head + "2026-11-30,EUR,1." + strings.Repeat("1", 60) + ",x\n", "line 2: rate"},
		"no source":         {head + "2026-11-30,EUR,1, \n", "want a source"},
		"a day twice":       {head + "2026-11-30,EUR,1,x\n2026-11-30,EUR,2,x\n", "line 3"},
		"a column too few":  {head + "2026-11-30,EUR,1\n", "wrong number of fields"},
	} {
		if _, err := ReadPrices(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestNoNameIsAFormula(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Helios": "Helios", "=1+1": "'=1+1", "@x": "'@x", "-2": "'-2", "\t=1": "'\t=1", "a=b": "a=b"} {
		if have := harmless(name); have != want {
			t.Errorf("%q goes out as %q, want %q", name, have, want)
		}
	}
}

func TestMonthsAreUTCAndEndWhereTheNextBegins(t *testing.T) {
	t.Parallel()
	for text, days := range map[string]int64{"2026-11": 30, "2026-12": 31, "2027-02": 28, "2028-02": 29} {
		m, err := ParseMonth(text)
		if err != nil || m.String() != text || (m.ToMs-m.FromMs) != days*86_400_000 {
			t.Errorf("%s is %v to %v (%v)", text, m.FromMs, m.ToMs, err)
		}
	}
	for _, text := range []string{"", "2026", "2026-13", "2026-1", "2026-11-01", "1969-12", "nov"} {
		if m, err := ParseMonth(text); err == nil {
			t.Errorf("%q is read as %v", text, m)
		}
	}
}
