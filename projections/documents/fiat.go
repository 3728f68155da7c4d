package documents

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"golang.org/x/text/currency"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filature/filature/domain"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// priceColumns is the first line of a price file.
var priceColumns = []string{"date", "currency", "rate", "source"}

// Bounds of a price file.
const (
	maxPrices    = 1_000_000 // a hundred currencies for 27 years
	maxRateChars = 40
)

var (
	// ErrNoRate says that a price file has no rate for a day. Add the line.
	ErrNoRate   = errors.New("there is no rate")
	errPrices   = errors.New("price file")
	errRateSize = errors.New("want a decimal above zero, as 1.2345")
)

type priceKey struct {
	day, currency string
}

type price struct {
	rate   *apd.Decimal
	text   string
	source string
}

// Prices are rates of the coin by day and currency.
type Prices struct{ rates map[priceKey]price }

// ReadPrices reads a price file: CSV with the columns date, currency, rate and source. The rate is the price of one coin on
// that day, in decimals. An error names the line.
func ReadPrices(from io.Reader) (*Prices, error) {
	in := csv.NewReader(from)
	in.FieldsPerRecord = len(priceColumns)
	p := &Prices{rates: map[priceKey]price{}}
	for line := 1; ; line++ {
		fields, err := in.Read()
		switch {
		case errors.Is(err, io.EOF) && line > 1:
			return p, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errPrices, err)
		case line == 1 && !slices.Equal(fields, priceColumns):
			return nil, fmt.Errorf("%w, line 1: want the columns %s", errPrices, strings.Join(priceColumns, ","))
		case line == 1:
			continue
		case len(p.rates) == maxPrices:
			return nil, fmt.Errorf("%w, line %d: want at most %d rates", errPrices, line, maxPrices)
		}
		if err := p.add(fields[0], fields[1], fields[2], fields[3]); err != nil {
			return nil, fmt.Errorf("%w, line %d: %w", errPrices, line, err)
		}
	}
}

func (p *Prices) add(day, name, rate, source string) error {
	if _, err := time.Parse(dayLayout, day); err != nil {
		return fmt.Errorf("date %q: want a day, as 2026-11-30", day)
	}
	if unit, err := currency.ParseISO(name); err != nil || unit.String() != name {
		return fmt.Errorf("currency %q: want a code of ISO 4217, as EUR", name)
	}
	key := priceKey{day, name}
	if _, twice := p.rates[key]; twice {
		return fmt.Errorf("%s on %s: there is a rate above", name, day)
	}
	value, _, err := apd.NewFromString(rate)
	if err != nil || len(rate) > maxRateChars || strings.Trim(rate, "0123456789.") != "" || value.Sign() <= 0 {
		return fmt.Errorf("rate %q: %w", rate, errRateSize)
	}
	if strings.TrimSpace(source) == "" {
		return fmt.Errorf("%s on %s: want a source: where the rate is from", name, day)
	}
	p.rates[key] = price{value, rate, source}
	return nil
}

// At returns the rate of a currency on the day of a moment, UTC. The error names the day.
func (p *Prices) At(name string, atMs int64) (*queryv1.FiatRate, error) { return p.on(name, day(atMs)) }

func (p *Prices) on(name, day string) (*queryv1.FiatRate, error) {
	unit, err := currency.ParseISO(name)
	if err != nil || unit.String() != name {
		return nil, fmt.Errorf("currency %q: want a code of ISO 4217, as EUR: %w", name, ErrNoRate)
	}
	if p == nil {
		return nil, fmt.Errorf("%s on %s: no price file was given: %w", name, day, ErrNoRate)
	}
	found, there := p.rates[priceKey{day, name}]
	if !there {
		return nil, fmt.Errorf("%s on %s: add a line for this day to the price file: %w", name, day, ErrNoRate)
	}
	digits, _ := currency.Standard.Rounding(unit)
	return &queryv1.FiatRate{Currency: name, Day: day, Rate: found.text, Source: found.source, Digits: uint32(digits)}, nil
}

// fiatPrecision holds the product of an amount of 19 digits and a rate of up to maxRateChars, so that rounding is done once.
const fiatPrecision = 64

// fiatUnits turns an amount into the smallest units of a currency: the product is exact, then rounded half to even, once.
func fiatUnits(nano domain.Nano, rate *queryv1.FiatRate) (int64, error) {
	fail := func(err error) (int64, error) {
		return 0, fmt.Errorf("%s at %s %s: %w", nano, rate.Rate, rate.Currency, err)
	}
	value, _, err := apd.NewFromString(rate.Rate)
	if err != nil {
		return fail(err)
	}
	exact := apd.BaseContext.WithPrecision(fiatPrecision)
	exact.Rounding = apd.RoundHalfEven
	var product, rounded apd.Decimal
	if _, err := exact.Mul(&product, apd.New(int64(nano), coinExponent), value); err != nil {
		return fail(err)
	}
	if _, err := exact.Quantize(&rounded, &product, -int32(rate.Digits)); err != nil {
		return fail(err)
	}
	rounded.Exponent = 0 // in smallest units
	units, err := rounded.Int64()
	if err != nil {
		return fail(err)
	}
	return units, nil
}

// fiat is fiatUnits as people write them.
func fiat(nano domain.Nano, rate *queryv1.FiatRate) (string, error) {
	units, err := fiatUnits(nano, rate)
	return decimal(units, rate.Digits), err
}

// coinExponent: a nanoton is 10^-9 of a coin.
const coinExponent = -9

// inFiat gives all amounts of a document in the currency of a rate, too.
func inFiat(m proto.Message, rate *queryv1.FiatRate) error {
	if rate == nil {
		return nil
	}
	return eachAmount(m.ProtoReflect(), func(a *queryv1.Amount) (err error) {
		a.Fiat, err = fiat(domain.Nano(a.Nano), rate)
		return err
	})
}

func eachAmount(m protoreflect.Message, do func(*queryv1.Amount) error) (err error) {
	if a, is := m.Interface().(*queryv1.Amount); is {
		return do(a)
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := range value.List().Len() {
				if err = eachAmount(value.List().Get(i).Message(), do); err != nil {
					return false
				}
			}
		default:
			err = eachAmount(value.Message(), do)
		}
		return err == nil
	})
	return err
}
