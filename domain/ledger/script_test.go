package ledger

import (
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// script speaks to a world in the words of testdata/scenarios; README.md there explains them.
type script struct {
	*world
	names map[[32]byte]string
	cards int
	rules int // reputation policies
	roots map[string][32]byte
	heard map[string]bool // every reason, fact and claim that came up
	words []string        // every rejection and its sentence
}

const scriptShards = 2

func newScript(t failer) *script {
	s := &script{world: newWorld(t, scriptShards), names: map[[32]byte]string{}, roots: map[string][32]byte{}, heard: map[string]bool{}}
	s.names[s.network] = "network"
	return s
}

// id resolves a name: an account begins with a capital letter, a job is an account and a number, and
// anything else stands for itself.
func (s *script) id(name string) [32]byte {
	if id, known := s.roots[name]; known {
		return id
	}
	id := idNamed(name)
	switch account, number, isJob := strings.Cut(name, "/"); {
	case isJob:
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			s.Fatalf("job %q: %v", name, err)
		}
		id = domain.JobIDOf(s.id(account), n)
	case unicode.IsUpper(rune(name[0])):
		id = accountNamed(name, s.shardOf(name), scriptShards)
	}
	s.names[id] = name
	return id
}

// shardOf is the shard of an account or job by its name: 1, unless the name ends in "@2".
func (s *script) shardOf(name string) domain.Shard {
	account, _, _ := strings.Cut(name, "/")
	if _, shard, placed := strings.Cut(account, "@"); placed {
		return s.shardNamed(shard)
	}
	return 1
}

func (s *script) shardNamed(name string) domain.Shard {
	if name == "control" {
		return domain.Control
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		s.Fatalf("shard %q: %v", name, err)
	}
	return domain.Shard(n)
}

// keyOf is a signer's key: its first one, or the one that is named.
func (s *script) keyOf(signer string) domain.KeyID {
	if strings.Contains(signer, "-key") {
		return s.id(signer)
	}
	return s.id(signer + "-key")
}

// claim reads "submit_job account=A number=1".
func (s *script) claim(text string) *v1.Claim {
	s.Helper()
	words := strings.Fields(text)
	claim := &v1.Claim{}
	m := claim.ProtoReflect()
	field := m.Descriptor().Fields().ByName(protoreflect.Name(words[0]))
	if field == nil {
		s.Fatalf("no claim is called %q", words[0])
	}
	body := m.Mutable(field).Message()
	if sealed := claim.GetSealBatch(); sealed != nil {
		s.sealInto(sealed)
	}
	if set := claim.GetSetReputationPolicy(); set != nil {
		set.Policy = reputation.Default()
	}
	for _, word := range words[1:] {
		path, value, ok := strings.Cut(word, "=")
		if !ok {
			s.Fatalf("%s: %q is not field=value", words[0], word)
		}
		s.set(body, path, value)
	}
	if err := claim.Check(); err != nil {
		s.Fatalf("%s: %v", text, err)
	}
	if terms := claim.GetSubmitJob(); terms != nil {
		s.id(fmt.Sprintf("%s/%d", s.nameOf(terms.Account), terms.Number))
	}
	return claim
}

var indexed = regexp.MustCompile(`^(\w+)\[(\d+)\]$`)

// set puts a value where a path leads: "usage.prompt_tokens", "lines[0].delta_nano".
func (s *script) set(m protoreflect.Message, path, value string) {
	s.Helper()
	head, rest, nested := strings.Cut(path, ".")
	index := -1
	if at := indexed.FindStringSubmatch(head); at != nil {
		head = at[1]
		index, _ = strconv.Atoi(at[2])
	}
	field := m.Descriptor().Fields().ByName(protoreflect.Name(head))
	if field == nil {
		s.Fatalf("%s has no field %q", m.Descriptor().Name(), head)
	}
	switch {
	case nested && index >= 0:
		s.set(m.Mutable(field).List().Get(index).Message(), rest, value)
	case nested:
		s.set(m.Mutable(field).Message(), rest, value)
	case index >= 0:
		m.Mutable(field).List().Set(index, s.value(field, value))
	case field.IsList():
		list := m.Mutable(field).List()
		list.Truncate(0)
		if value != "none" {
			for element := range strings.SplitSeq(value, ",") {
				list.Append(s.value(field, element))
			}
		}
	case field.Message() != nil && field.Message().Name() == "Usage":
		usage := m.Mutable(field).Message()
		for i, count := range strings.Split(value, "/") {
			usage.Set(usage.Descriptor().Fields().Get(i), s.value(usage.Descriptor().Fields().Get(i), count))
		}
	default:
		m.Set(field, s.value(field, value))
	}
}

func (s *script) value(field protoreflect.FieldDescriptor, text string) protoreflect.Value {
	s.Helper()
	switch field.Kind() {
	case protoreflect.BytesKind:
		if text == "none" {
			return protoreflect.ValueOfBytes(nil)
		}
		id := s.id(text)
		return protoreflect.ValueOfBytes(id[:])
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.ReplaceAll(text, "_", " "))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(text == "true")
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		for i := range values.Len() {
			if shortName(values.Get(i)) == text {
				return protoreflect.ValueOfEnum(values.Get(i).Number())
			}
		}
		s.Fatalf("%s has no value %q", field.Enum().Name(), text)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(s.number(text)))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(s.number(text)))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(s.number(text))
	}
	s.Fatalf("cannot write a %s", field.Kind())
	return protoreflect.Value{}
}

// number reads an integer, coins ("2.5c"), nanotons ("268n"), a span ("30s") or a time ("@30s").
func (s *script) number(text string) int64 {
	s.Helper()
	switch {
	case text == "max":
		return math.MaxInt64
	case text == "min":
		return math.MinInt64
	case strings.HasSuffix(text, "c"):
		amount, err := domain.ParseCoins(strings.TrimSuffix(text, "c"))
		if err != nil {
			s.Fatalf("%v", err)
		}
		return int64(amount)
	case strings.HasPrefix(text, "@"):
		return startMs + s.number(text[1:])
	}
	if n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSuffix(text, "n"), "_", ""), 10, 64); err == nil {
		return n
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		s.Fatalf("number %q: %v", text, err)
	}
	return span.Milliseconds()
}

// sealInto makes the batch that a settler would make now.
func (s *script) sealInto(claim *v1.SealBatch) {
	s.Helper()
	b := s.states[domain.Control].control.batches
	cut := settlement.Cut{}
	for shard := range s.states {
		cut.Offsets = append(cut.Offsets, domain.Offset(len(s.ledger[shard])))
		cut.LogRoots = append(cut.LogRoots, idNamed(fmt.Sprintf("log root %d", shard)))
	}
	var owed []settlement.Owed
	all := s.balances()
	for key, amount := range all {
		if key.kind == v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE {
			owed = append(owed, settlement.Owed{Payee: key.owner, Payable: amount, Committed: b.committed.Of(key.owner)})
		}
	}
	for leaf := range b.committed.Leaves() {
		if all.of(v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, leaf.Payee[:]) == 0 {
			owed = append(owed, settlement.Owed{Payee: leaf.Payee, Committed: leaf.Cumulative})
		}
	}
	slices.SortFunc(owed, func(a, b settlement.Owed) int { return slices.Compare(a.Payee[:], b.Payee[:]) })
	policy := settlement.Policy{ThresholdNano: 1, MaxPayees: maxBatchPayees}
	if params := s.states[domain.Control].control.params; params != nil {
		policy = settlement.PolicyOf(params)
	}
	batch, err := settlement.Seal(b.last+1, cut, owed, policy)
	if err != nil {
		batch = &v1.SealBatch{
			Number: b.last + 1, PayoutRoot: make([]byte, 32), Commitment: make([]byte, 32), Cut: make([]int64, len(s.states)),
		}
		for range s.states {
			batch.LogRoots = append(batch.LogRoots, make([]byte, 32))
		}
	}
	claim.Number, claim.Cut, claim.PayoutRoot, claim.TotalNano = batch.Number, batch.Cut, batch.PayoutRoot, batch.TotalNano
	claim.Payees, claim.LogRoots, claim.Commitment, claim.Lines = batch.Payees, batch.LogRoots, batch.Commitment, batch.Lines
	name := fmt.Sprintf("root.%d", batch.Number)
	s.roots[name] = [32]byte(batch.PayoutRoot)
	s.names[s.roots[name]] = name
}

// home is the shard where a claim belongs.
func (s *script) home(text string, claim *v1.Claim) domain.Shard {
	m := claim.ProtoReflect()
	if m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Number() >= 30 {
		return domain.Control
	}
	for word := range strings.FieldsSeq(text) {
		switch field, value, _ := strings.Cut(word, "="); field {
		case "account", "job", "from_owner":
			return s.shardOf(value)
		}
	}
	return 1
}

// tell writes an entry as scenarios show it.
func (s *script) tell(entry *v1.Entry) string {
	var b strings.Builder
	answer := entry.GetAnswer()
	facts := answer.GetFacts()
	for len(facts) > 0 {
		if same := sameDue(facts); same > manyDue {
			fmt.Fprintf(&b, "  ~ %d times %s\n", same, facts[0].ProtoReflect().WhichOneof(factBody).Name())
			facts = facts[same:]
			continue
		}
		s.tellFact(&b, facts[0])
		facts = facts[1:]
	}
	if refusal := answer.GetRefusal(); refusal != nil {
		s.note(refusal)
		fmt.Fprintf(&b, "  ! report: %s\n", s.tellRejection(refusal))
	}
	return b.String()
}

// manyDue is how many facts of one kind, that log time alone led to, are told one by one.
const manyDue = 100

var factBody = (&v1.Fact{}).ProtoReflect().Descriptor().Oneofs().Get(0)

// sameDue counts the facts of log time at the beginning that are of one kind.
func sameDue(facts []*v1.Fact) int {
	kind := facts[0].ProtoReflect().WhichOneof(factBody)
	for i, fact := range facts {
		if fact.Claim != 0 || fact.ProtoReflect().WhichOneof(factBody) != kind {
			return i
		}
	}
	return len(facts)
}

// note remembers a rejection for the tests of all scenarios together.
func (s *script) note(r *v1.Rejection) {
	s.heard[r.Reason.String()] = true
	s.words = append(s.words, fmt.Sprintf("%-22s %s", strings.TrimPrefix(r.Reason.String(), "REASON_"), Explain(r)))
}

func (s *script) tellFact(b *strings.Builder, fact *v1.Fact) {
	if r := fact.GetRejection(); r != nil {
		s.note(r)
		fmt.Fprintf(b, "  ! %s\n", s.tellRejection(r))
		return
	}
	m := fact.ProtoReflect()
	field := m.WhichOneof(factBody)
	s.heard[string(field.Name())] = true
	mark := "="
	if fact.Claim == 0 {
		mark = "~" // log time alone did it
	}
	fmt.Fprintf(b, "  %s %s", mark, field.Name())
	if card := fact.GetRateCardSet(); card != nil && s.names[[32]byte(card.RateCard)] == "" {
		s.cards++
		s.names[[32]byte(card.RateCard)] = fmt.Sprintf("card.%d", s.cards)
	}
	if policy := fact.GetReputationPolicySet(); policy != nil && s.names[[32]byte(policy.Id)] == "" {
		s.rules++
		s.names[[32]byte(policy.Id)] = fmt.Sprintf("policy.%d", s.rules)
	}
	if !isClaim(field.Message()) {
		s.tellFields(b, m.Get(field).Message())
	}
	b.WriteByte('\n')
	for i, p := range fact.Postings {
		if i%2 == 0 {
			b.WriteString([]string{"    ", "\n    "}[min(i, 1)])
		} else {
			b.WriteString("   ")
		}
		fmt.Fprintf(b, "%s %s", s.accountName(keyOf(p.Kind, p.Owner)), signed(p.AmountNano))
	}
	if len(fact.Postings) > 0 {
		b.WriteByte('\n')
	}
}

// isClaim tells that a fact only repeats its claim, which the scenario shows already.
func isClaim(message protoreflect.MessageDescriptor) bool {
	bodies := (&v1.Claim{}).ProtoReflect().Descriptor().Fields()
	for i := range bodies.Len() {
		if bodies.Get(i).Message() == message {
			return true
		}
	}
	return false
}

func (s *script) tellFields(b *strings.Builder, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) || field.Name() == "terms" || field.Name() == "card" || field.Message() != nil && field.Name() == "policy" {
			continue
		}
		fmt.Fprintf(b, " %s=%s", field.Name(), s.tellValue(field, m.Get(field)))
	}
}

func (s *script) tellValue(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch {
	case field.IsList():
		var elements []string
		for i := range value.List().Len() {
			if m := value.List().Get(i); field.Message() != nil {
				elements = append(elements, tellNumbers(m.Message()))
			} else {
				elements = append(elements, m.String())
			}
		}
		return strings.Join(elements, ",")
	case field.Message() != nil && field.Message().Name() == "Hold":
		var told strings.Builder
		s.tellFields(&told, value.Message())
		return "(" + strings.TrimSpace(told.String()) + ")"
	case field.Kind() == protoreflect.BytesKind:
		return s.nameOf(value.Bytes())
	case field.Kind() == protoreflect.EnumKind:
		return shortName(field.Enum().Values().ByNumber(value.Enum()))
	case field.Kind() == protoreflect.MessageKind:
		return tellNumbers(value.Message())
	case field.Name() == "took_ms" || field.Name() == "promised_ms":
		return (time.Duration(value.Int()) * time.Millisecond).String()
	case strings.HasSuffix(string(field.Name()), "_nano"):
		return amount(value.Int())
	case strings.HasSuffix(string(field.Name()), "_ms"):
		return "@" + (time.Duration(value.Int()-startMs) * time.Millisecond).String()
	default:
		return value.String()
	}
}

// tellNumbers writes a message that has nothing but numbers: usage, say.
func tellNumbers(m protoreflect.Message) string {
	var numbers []string
	for i := range m.Descriptor().Fields().Len() {
		numbers = append(numbers, m.Get(m.Descriptor().Fields().Get(i)).String())
	}
	return strings.Join(numbers, "/")
}

func (s *script) tellRejection(r *v1.Rejection) string {
	text := strings.TrimPrefix(r.Reason.String(), "REASON_") + " " + r.Field
	if r.Have != 0 || r.Want != 0 {
		text += fmt.Sprintf(" have=%s want=%s", s.rejectedNumber(r, r.Have), s.rejectedNumber(r, r.Want))
	}
	if len(r.Job) != 0 {
		text += " of " + s.nameOf(r.Job)
	}
	return text
}

// rejectedNumber writes the times in a rejection as the other times of a scenario.
func (s *script) rejectedNumber(r *v1.Rejection, n int64) string {
	switch {
	case r.Reason == v1.Reason_REASON_INSUFFICIENT_FUNDS || strings.HasSuffix(r.Field, "_nano"):
		return amount(n)
	case n >= startMs && n < startMs+2*maxSpanMs:
		return "@" + (time.Duration(n-startMs) * time.Millisecond).String()
	default:
		return strconv.FormatInt(n, 10)
	}
}

func (s *script) nameOf(id []byte) string {
	if len(id) == 0 {
		return "none"
	}
	if name, known := s.names[[32]byte(id)]; known {
		return name
	}
	return hex.EncodeToString(id[:4])
}

func (s *script) accountName(key accountKey) string {
	name := strings.Replace(strings.ToLower(strings.TrimPrefix(key.kind.String(), "ACCOUNT_KIND_")), "_", "/", 1)
	if hasOwner(key.kind) {
		name += " " + s.nameOf(key.owner[:])
	}
	return name
}

// shortName is the value of an enum as scenarios write it: "client/available", "engine_error".
func shortName(value protoreflect.EnumValueDescriptor) string {
	enum := value.Parent().(protoreflect.EnumDescriptor)
	zero := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	name := strings.ToLower(strings.TrimPrefix(string(value.Name()), zero))
	if enum.Name() == "AccountKind" || enum.Name() == "RateRule" {
		name = strings.Replace(name, "_", "/", 1)
	}
	return name
}

// amount writes nanotons: as coins where they are easier to read, "2.5c", else as "268n".
func amount(nano int64) string {
	if nano > -int64(domain.Coin)/1000 && nano < int64(domain.Coin)/1000 {
		return fmt.Sprintf("%dn", nano)
	}
	return coins(nano) + "c"
}

func signed(nano int64) string {
	if nano < 0 {
		return amount(nano)
	}
	return "+" + amount(nano)
}
