/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Python's + - * / // % and parentheses on 64-bit integers, by operator precedence with two explicit stacks: a kernel's
 * stack is small, and the line comes from a hostile guest, so there is no recursion.
 *
 * Kernels have no floating point either. True division therefore yields an exact fraction that prints like a float,
 * with seven significant digits as on a microcontroller but never with an exponent. What no longer fits 64 bits is an
 * OverflowError, including -2**63 written as a literal, whose digits overflow before the sign is seen.
 */
#include "sum.h"

#define STACK 64u  /* operands and operators that may wait, each */
#define DIGITS 7   /* significant, of a fraction */

struct value {
	int64_t num, den; /* den > 0, and 1 unless real */
	bool real;
};

enum fault { FINE, SYNTAX, ZERO, OVERFLOW, NAME, DEPTH };

struct sum {
	const char *at, *end;
	const char *name; /* of an unknown identifier */
	uint32_t name_bytes;
	enum fault fault; /* the first at run time; syntax is judged before anything runs, so it wins */
	struct value value[STACK];
	char op[STACK];   /* + - * / f(loor) % n(egate) ( */
	uint32_t values, ops;
};

struct text {
	char *to;
	uint32_t used;
};

static void blame(struct sum *s, enum fault fault)
{
	if (s->fault == FINE || fault == SYNTAX)
		s->fault = fault;
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

static uint64_t magnitude(int64_t v) { return v < 0 ? 0 - (uint64_t)v : (uint64_t)v; }

/* Lowest terms, positive denominator; false on overflow. */
static bool reduce(struct value *v)
{
	uint64_t g = gcd(magnitude(v->num), magnitude(v->den));

	if (v->den < 0 && (__builtin_sub_overflow(0, v->num, &v->num) || __builtin_sub_overflow(0, v->den, &v->den)))
		return false;
	if (g > 1 && g <= INT64_MAX) {
		v->num /= (int64_t)g;
		v->den /= (int64_t)g;
	}
	return true;
}

static bool multiply(struct value a, struct value b, struct value *r)
{
	r->real = a.real || b.real;
	return !__builtin_mul_overflow(a.num, b.num, &r->num) && !__builtin_mul_overflow(a.den, b.den, &r->den) && reduce(r);
}

static bool add(struct value a, struct value b, struct value *r)
{
	int64_t x, y;

	r->real = a.real || b.real;
	return !__builtin_mul_overflow(a.num, b.den, &x) && !__builtin_mul_overflow(b.num, a.den, &y) &&
	       !__builtin_add_overflow(x, y, &r->num) && !__builtin_mul_overflow(a.den, b.den, &r->den) && reduce(r);
}

static bool negate(struct value a, struct value *r)
{
	*r = a;
	return !__builtin_sub_overflow(0, a.num, &r->num);
}

static bool divide(struct value a, struct value b, struct value *r)
{
	struct value inverse = { b.den, b.num, true };

	return reduce(&inverse) && multiply(a, inverse, r);
}

/* Python rounds towards minus infinity, C towards zero. */
static bool floor_divide(struct value a, struct value b, struct value *r)
{
	if (!divide(a, b, r))
		return false;
	r->num = r->num / r->den - (r->num % r->den < 0);
	r->den = 1;
	r->real = a.real || b.real;
	return true;
}

static bool modulo(struct value a, struct value b, struct value *r)
{
	struct value q, p;

	return floor_divide(a, b, &q) && multiply(q, b, &p) && negate(p, &p) && add(a, p, r);
}

static bool apply(char op, struct value a, struct value b, struct value *r)
{
	switch (op) {
	case '+': return add(a, b, r);
	case '-': return negate(b, &b) && add(a, b, r);
	case '*': return multiply(a, b, r);
	case '/': return divide(a, b, r);
	case 'f': return floor_divide(a, b, r);
	case '%': return modulo(a, b, r);
	default: return negate(b, r);
	}
}

/* ---- the two stacks --------------------------------------------------------------------------------------------- */

static void push_value(struct sum *s, struct value v)
{
	if (s->values == STACK)
		blame(s, DEPTH);
	else
		s->value[s->values++] = v;
}

static void push_op(struct sum *s, char op)
{
	if (s->ops == STACK)
		blame(s, DEPTH);
	else
		s->op[s->ops++] = op;
}

static uint32_t rank(char op)
{
	switch (op) {
	case '(': return 0;
	case '+': case '-': return 1;
	case 'n': return 3;
	default: return 2;
	}
}

/* Applies the operator on top. Its operands are there: the scanner takes turns between operands and operators. */
static void apply_top(struct sum *s)
{
	char op = s->op[--s->ops];
	struct value *b = &s->value[s->values - 1];
	struct value *a = op == 'n' ? b : b - 1;
	struct value r = { 0, 1, false };

	if (b->num == 0 && (op == '/' || op == 'f' || op == '%'))
		blame(s, ZERO);
	else if (!apply(op, *a, *b, &r))
		blame(s, OVERFLOW);
	if (s->fault != FINE)
		r = (struct value){ 0, 1, false };
	*a = r;
	s->values -= op != 'n';
}

static void apply_while(struct sum *s, uint32_t least)
{
	while (s->fault != DEPTH && s->ops && rank(s->op[s->ops - 1]) >= least)
		apply_top(s);
}

/* ---- scanning --------------------------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static bool more(struct sum *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
		s->at++;
	return s->at < s->end && *s->at != '#';
}

/* Zeros before other digits are an error in Python 3, because they once meant octal. */
static void scan_number(struct sum *s)
{
	const char *start = s->at;
	struct value v = { 0, 1, false };

	for (; s->at < s->end && is_digit(*s->at); s->at++)
		if (__builtin_mul_overflow(v.num, 10, &v.num) || __builtin_add_overflow(v.num, *s->at - '0', &v.num)) {
			blame(s, OVERFLOW);
			v.num = 1;
		}
	if (*start == '0' && v.num)
		blame(s, SYNTAX);
	if (s->at < s->end && (is_letter(*s->at) || *s->at == '.'))
		blame(s, SYNTAX);
	push_value(s, v);
}

static void scan_name(struct sum *s)
{
	const char *start = s->at;

	while (s->at < s->end && (is_letter(*s->at) || is_digit(*s->at)))
		s->at++;
	if (s->fault == FINE) {
		s->name = start;
		s->name_bytes = uw_min((uint32_t)(s->at - start), 64);
	}
	blame(s, NAME);
	push_value(s, (struct value){ 0, 1, false });
}

/* Where an operand is expected; true when it was one, false when it was something that may stand before one. */
static bool scan_operand(struct sum *s)
{
	if (is_digit(*s->at)) {
		scan_number(s);
		return true;
	}
	if (is_letter(*s->at)) {
		scan_name(s);
		return true;
	}
	if (*s->at == '(' || *s->at == '-')
		push_op(s, *s->at == '(' ? '(' : 'n');
	else if (*s->at != '+')
		blame(s, SYNTAX);
	s->at++;
	return false;
}

/* Where an operator is expected; true when an operand must follow. */
static bool scan_operator(struct sum *s)
{
	char op = *s->at++;

	if (op == ')') {
		apply_while(s, 1);
		if (s->ops)
			s->ops--;
		else
			blame(s, SYNTAX);
		return false;
	}
	if (op == '/' && s->at < s->end && *s->at == '/') {
		op = 'f';
		s->at++;
	} else if (op != '+' && op != '-' && op != '*' && op != '/' && op != '%') {
		blame(s, SYNTAX);
		return true;
	}
	apply_while(s, rank(op));
	push_op(s, op);
	return true;
}

static void scan(struct sum *s)
{
	bool operand = true;

	while (s->fault != SYNTAX && s->fault != DEPTH && more(s))
		operand = operand ? !scan_operand(s) : scan_operator(s);
	if (s->fault == SYNTAX || s->fault == DEPTH)
		return;
	if (operand) {
		blame(s, SYNTAX);
		return;
	}
	apply_while(s, 1);
	if (s->ops)
		blame(s, SYNTAX);
}

/* ---- printing --------------------------------------------------------------------------------------------------- */

static void put(struct text *t, const char *s)
{
	while (*s)
		t->to[t->used++] = *s++;
}

static void put_integer(struct text *t, uint64_t v)
{
	char digits[20];
	uint32_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		t->to[t->used++] = digits[--n];
}

/* The next decimal digit of rest / den, by additions: ten times rest may not fit. */
static char next_digit(uint64_t *rest, uint64_t den)
{
	uint64_t sum = 0;
	char digit = '0';

	for (int i = 0; i < 10; i++) {
		sum += *rest;
		if (sum >= den) {
			sum -= den;
			digit++;
		}
	}
	*rest = sum;
	return digit;
}

/* Adds one to the last digit of a decimal fraction; its integer part starts with a spare zero. */
static void round_up(char *digits, uint32_t n)
{
	while (n-- && (digits[n] == '9' || digits[n] == '.'))
		if (digits[n] == '9')
			digits[n] = '0';
	digits[n]++;
}

static void put_real(struct text *t, struct value v)
{
	char buffer[64] = "0"; /* 1 spare, at most 19 digits, the point, at most 19 zeros and DIGITS more */
	struct text d = { buffer, 1 };
	uint64_t den = (uint64_t)v.den, whole = magnitude(v.num) / den, rest = magnitude(v.num) % den;
	int significant;

	put_integer(&d, whole);
	significant = whole ? (int)d.used - 1 : 0;
	put(&d, ".");
	do {
		buffer[d.used++] = next_digit(&rest, den);
		significant += significant || buffer[d.used - 1] != '0';
	} while (rest && significant < DIGITS);
	if (rest >= den - rest)
		round_up(buffer, d.used);
	while (buffer[d.used - 1] == '0' && buffer[d.used - 2] != '.')
		d.used--;
	buffer[d.used] = 0;
	put(t, v.num < 0 ? "-" : "");
	put(t, buffer + (buffer[0] == '0'));
	put(t, "\r\n");
}

static void put_value(struct text *t, struct value v)
{
	if (v.real) {
		put_real(t, v);
		return;
	}
	put(t, v.num < 0 ? "-" : "");
	put_integer(t, magnitude(v.num));
	put(t, "\r\n");
}

static void put_fault(struct text *t, const struct sum *s)
{
	static const char *const what[] = {
		[SYNTAX] = "SyntaxError: invalid syntax",
		[ZERO] = "ZeroDivisionError: divide by zero",
		[OVERFLOW] = "OverflowError: result does not fit 64 bits",
		[NAME] = "NameError: name '",
		[DEPTH] = "RuntimeError: maximum recursion depth exceeded",
	};

	put(t, "Traceback (most recent call last):\r\n  File \"<stdin>\", line 1");
	put(t, s->fault == SYNTAX ? "\r\n" : ", in <module>\r\n");
	put(t, what[s->fault]);
	if (s->fault == NAME) {
		uw_copy(t->to + t->used, s->name, s->name_bytes);
		t->used += s->name_bytes;
		put(t, "' isn't defined");
	}
	put(t, "\r\n");
}

uint32_t uw_sum(const char *line, uint32_t bytes, char text[UW_SUM_TEXT])
{
	struct sum s;
	struct text t = { text, 0 };

	s.at = line;
	s.end = line + bytes;
	s.fault = FINE;
	s.values = s.ops = 0;
	if (!more(&s))
		return 0;
	scan(&s);
	if (s.fault == FINE)
		put_value(&t, s.value[0]);
	else
		put_fault(&t, &s);
	return t.used;
}
