package sdk

// PauseBetween is how long to wait after so many failures in a row.
var PauseBetween = pauseBetween
