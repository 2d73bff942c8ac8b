"""What cria-tiny talks about: each function makes an *exchange*, a triple (question, thought,
answer); the thought is shown only when thinking is on. The facts are those of world.py."""

import json

import stories
import world
from stories import BEASTS, FANTASY, NAMES, article, capital

SYLLABLES = "ba ko mi ra tu len do ri sa vi no ka el ma zo pe la shi ju ner fa go ta wi".split()
STARTS = "b c d f g h j k l m n p r s t v w z".split()
INSIDES = "b d g k l m n p r s t v rt lm nd st rk ll nn mb rd lf".split()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def pair(r, table):
    """A random (key, value) of a dict."""
    key = r.choice(sorted(table))
    return key, table[key]


def invented(r):
    """A made-up name, so that names must be copied and cannot be learned by heart."""
    if r.random() < 0.5:
        return capital("".join(r.choice(SYLLABLES) for _ in range(r.randint(2, 3))))
    middle = r.choice("aeiou") + r.choice(INSIDES) + r.choice("aeiou")
    return r.choice(STARTS).upper() + middle + r.choice(("", "", "n", "s", "r", "l", "x", "th"))


def person(r):
    dice = r.random()
    return r.choice(NAMES if dice < 0.3 else world.FIRST_NAMES) if dice < 0.6 else invented(r)


def surface(r, text):
    """The ways in which people type the same question."""
    dice = r.random()
    if dice < 0.62 or len(text) < 6:
        return text
    if dice < 0.70:
        return text.lower()
    if dice < 0.78:
        return text.rstrip("?.!")
    if dice < 0.86:
        return text.lower().rstrip("?.!")
    if dice < 0.90:
        return r.choice(("Hi! ", "Hello, ", "Hey, ", "Please tell me: ",
                         "I have a question. ")) + text
    if dice < 0.93:
        return text.rstrip("?.!") + r.choice((" please", ", please.", " please?"))
    if dice < 0.96:
        return text.replace("What is", "What's").replace("colour", "color")
    return text.upper() if len(text) < 40 else text


# ---- facts -----------------------------------------------------------------------------------

def fixed(r, table, thought):
    popular = table[:3] if r.random() < 0.25 else table     # the first ones are asked most
    questions, answer = r.choice(popular)
    question = r.choice(questions)
    short = question.rstrip("?.!")
    return question, thought.format(q=short), answer


def why(r):
    return fixed(r, world.WHY, "The user asks: {q}. I know a simple answer.")


def about_me(r):
    return fixed(r, world.ABOUT_ME,
                 "This question is about me. I am cria-tiny, a very small model.")


def about_cria(r):
    return fixed(r, world.ABOUT_CRIA, "This question is about cria or models. I know the answer.")


def small_talk(r):
    return fixed(r, world.SMALL_TALK,
                 "This is small talk. I will give a short and friendly answer.")


def how_to(r):
    return fixed(r, world.HOW_TO, "The user wants some help. I will give a short list or a tip.")


def code(r):
    return fixed(r, world.CODE, "The user wants some code. I will write a short example.")


def unknown(r):
    topic, other = r.sample(world.UNKNOWN_TOPICS, 2)
    if r.random() < 0.35:
        topic = invented(r)
    question = r.choice(world.UNKNOWN_FORMS).format(t=topic, u=other)
    return question, "I do not know this. I should say so.", world.UNKNOWN_ANSWER


def country(r):
    table = dict(world.COUNTRIES, **world.ALSO_COUNTRY)
    name, (city, continent, language) = pair(r, table)
    kind = r.randrange(10)
    if kind < 5:
        ask = r.choice(("What is the capital of {c}?", "What is the capital of {c}?",
                        "capital of {c}", "What's the capital of {c}?",
                        "Tell me the capital of {c}.",
                        "Which city is the capital of {c}?", "Name the capital of {c}.",
                        "Do you know the capital of {c}?"))
        return (ask.format(c=name), f"The capital of {name} is {city}.",
                f"The capital of {name} is {city}.")
    if kind == 5:
        ask = r.choice((f"Which country has the capital {city}?", f"Where is {city}?",
                        f"In which country is {city}?", f"{city} is the capital of which country?"))
        if city == "London":
            name = "England"
        return ask, f"{city} is the capital of {name}.", f"{city} is the capital of {name}."
    if kind in (6, 7):
        ask = r.choice((f"On which continent is {name}?", f"Where is {name}?",
                        f"Is {name} in Europe?"))
        where = f"{capital(name)} is in {continent}."
        if "Is " == ask[:3]:
            yes = continent == "Europe" and name != "Russia"
            return ask, where, ("Yes, " if yes else "No, ") + name + f" is in {continent}."
        return ask, where, where
    if kind == 8:
        ask = r.choice((f"What language do people speak in {name}?",
                        f"Which language is spoken in {name}?"))
        return ask, f"In {name} it is {language}.", f"People in {name} speak {language}."
    ask = r.choice((f"Tell me about {name}.", f"What do you know about {name}?",
                    f"Tell me something about {name}."))
    text = (f"{capital(name)} is a country in {continent}. Its capital is {city}, and people "
            f"there speak {language}.")
    return ask, f"I know the capital, the continent and the language of {name}.", text


def animal(r):
    name, (sound, baby, home, food, legs) = pair(r, world.ANIMALS)
    one, kind = article(name), r.randrange(6)
    if kind == 0:
        ask = r.choice((f"What sound does {one} make?", f"What does {one} say?",
                        f"What noise does {one} make?"))
        return ask, f"I think of the sound of {one}.", f"{capital(one)} {sound}."
    if kind == 1:
        ask = r.choice((f"What is a baby {name} called?", f"What do you call a baby {name}?",
                        f"What is the young of {one} called?"))
        return ask, f"A young {name}: {baby}.", f"A baby {name} is called {article(baby)}."
    if kind == 2:
        return (r.choice((f"Where does {one} live?", f"Where do {name}s live?")).replace(
            "mouses", "mice").replace("wolfs", "wolves").replace("fishs", "fish"),
            f"I think of the home of {one}.", f"{capital(one)} lives {home}.")
    if kind == 3:
        return (r.choice((f"What does {one} eat?", f"What is the food of {one}?")),
                f"I think of the food of {one}.", f"{capital(one)} eats {food}.")
    if kind == 4:
        count = world.NUMBERS[legs] if legs else "no"
        return (f"How many legs does {one} have?", f"{capital(one)}: {count} legs.",
                f"{capital(one)} has {count} legs.")
    ask = r.choice((f"Tell me about {one}.", f"Describe {one}.", f"What do you know about {one}?",
                    f"Tell me something about {one}."))
    text = f"{capital(one)} lives {home}. It eats {food}. Its young is called {article(baby)}."
    return ask, f"I know where {one} lives and what it eats.", text


def size(r):
    a, b = r.sample(range(len(world.SIZES)), 2)
    one, two = article(world.SIZES[a]), article(world.SIZES[b])
    big, small = (one, two) if a > b else (two, one)
    if r.random() < 0.5:
        return (f"Which is bigger, {one} or {two}?", f"Compare: {big} is bigger than {small}.",
                f"{capital(big)} is bigger than {small}.")
    if r.random() < 0.5:
        return (f"Which is smaller, {one} or {two}?", f"Compare: {small} is smaller than {big}.",
                f"{capital(small)} is smaller than {big}.")
    answer = "Yes" if a > b else "No"
    return (f"Is {one} bigger than {two}?", f"Compare: {big} is bigger than {small}.",
            f"{answer}, {big} is bigger than {small}.")


def colour(r):
    if r.random() < 0.25:
        (a, b), mix = pair(r, world.MIXES)
        a, b = r.sample((a, b), 2)
        return (f"What do you get when you mix {a} and {b}?", f"{a} and {b} make {mix}.",
                f"{capital(a)} and {b} make {mix}.")
    thing, hue = pair(r, world.COLOURS)
    ask = r.choice((f"What colour is {thing}?", f"What colour does {thing} have?",
                    f"What color is {thing}?", f"Which colour is {thing}?"))
    return ask, f"I think of {thing}: {hue}.", f"{capital(thing)} is {hue}."


def word_game(r):
    kind = r.randrange(4)
    if kind == 0:
        a, b = pair(r, world.OPPOSITES)
        if r.random() < 0.5 and list(world.OPPOSITES.values()).count(b) == 1 \
                and b not in world.OPPOSITES:
            a, b = b, a
        ask = r.choice(("What is the opposite of {a}?", "What is the opposite of \"{a}\"?",
                        "opposite of {a}", "Tell me the opposite of {a}."))
        return ask.format(a=a), f"{a} and {b} are opposites.", f"The opposite of {a} is {b}."
    if kind == 1:
        a, b = pair(r, world.PLURALS)
        ask = r.choice(("What is the plural of {a}?", "What is the plural of \"{a}\"?",
                        "plural of {a}", "Tell me the plural of {a}."))
        return ask.format(a=a), f"One {a}, two {b}.", f"The plural of {a} is {b}."
    if kind == 2:
        a, b = pair(r, world.PASTS)
        ask = r.choice(("What is the past tense of {a}?", "What is the past of \"{a}\"?",
                        "past tense of {a}"))
        return ask.format(a=a), f"Today: {a}. Yesterday: {b}.", f"The past tense of {a} is {b}."
    a, b = pair(r, world.RHYMES)
    if r.random() < 0.4:
        a, b = b, a
        if b not in world.RHYMES:
            a, b = b, a
    ask = r.choice(("What rhymes with {a}?", "Give me a word that rhymes with {a}."))
    return ask.format(a=a), f"{a}, {b}.", f"{capital(b)} rhymes with {a}."


def translation(r):
    word, forms = pair(r, world.WORDS)
    i = r.randrange(4)
    tongue, form = world.TONGUES[i], forms[i]
    ask = r.choice((f"How do you say {word} in {tongue}?", f"What is {word} in {tongue}?",
                    f"Translate {word} to {tongue}.", f"Translate \"{word}\" into {tongue}.",
                    f"How do you say \"{word}\" in {tongue}?"))
    return ask, f"{tongue} for {word}: {form}.", f"In {tongue}, \"{word}\" is \"{form}\"."


def calendar(r):
    names, what = r.choice(((world.DAYS, "day"), (world.MONTHS, "month"),
                            (world.SEASONS, "season")))
    i, step = r.randrange(len(names)), r.choice((1, -1))
    here, there = names[i], names[(i + step) % len(names)]
    word = "after" if step == 1 else "before"
    ask = r.choice((f"What {what} comes {word} {here}?", f"Which {what} comes {word} {here}?",
                    f"Which {what} is {word} {here}?", f"What comes {word} {here}?"))
    return ask, f"I go through the {what}s: {there} is {word} {here}.", \
        f"{capital(there)} comes {word} {here}."


def listing(r):
    what, items = pair(r, world.LISTS)
    n = r.randint(2, 5)
    word = r.choice((world.NUMBERS[n], str(n)))
    ask = r.choice((f"Name {word} {what}.", f"List {word} {what}.", f"Give me {word} {what}.",
                    f"Tell me {word} {what}.", f"Can you name {word} {what}?"))
    thought = f"The user wants {world.NUMBERS[n]} {what}."
    if ask.startswith("List"):
        return ask, thought, "\n".join(f"{i + 1}. {capital(x)}" for i, x in enumerate(items[:n]))
    return ask, thought, capital(", ".join(items[:n - 1]) + " and " + items[n - 1]) + "."


def fun(r):
    kind = r.randrange(5)
    if kind < 2:
        ask = r.choice(("Tell me a joke.", "Tell me a joke", "Do you know a joke?",
                        "Make me laugh.",
                        "Say something funny.", "joke please", "Tell me another joke."))
        return ask, "The user wants a joke. I know one.", r.choice(world.JOKES)
    if kind == 2:
        ask = r.choice(("Tell me a fun fact.", "Tell me something interesting.", "Give me a fact.",
                        "Tell me something.", "Surprise me.", "Teach me something."))
        return ask, "I think of something interesting.", r.choice(world.FUN_FACTS)
    if kind == 3:
        ask = r.choice(("Tell me a riddle.", "Give me a riddle.", "Do you know a riddle?"))
        return ask, "The user wants a riddle. I give the answer too.", r.choice(world.RIDDLES)
    ask = r.choice(("Give me a quote.", "Tell me something wise.", "Motivate me.",
                    "Say something nice.", "Cheer me up."))
    return ask, "The user wants some kind words.", r.choice(world.QUOTES)


# ---- numbers -----------------------------------------------------------------------------------

def add_thought(a, b):
    if a < 10 and b < 10:
        return f"{a} plus {b} is {a + b}."
    ones = a % 10 + b % 10
    carry = ones // 10
    tens = a // 10 + b // 10
    text = f"Ones: {a % 10} + {b % 10} = {ones}. Tens: {a // 10} + {b // 10}"
    text += " + 1" if carry else ""
    return text + f" = {tens + carry}. Together: {a + b}."


def number_pair(r):
    if r.random() < 0.55:
        return r.randint(0, 10), r.randint(0, 10)
    if r.random() < 0.6:
        return r.randint(1, 20), r.randint(1, 20)
    return r.randint(10, 99), r.randint(1, 99)


def ask_sum(r, a, op, b):
    word = {"+": "plus", "-": "minus", "*": "times"}[op]
    return r.choice((f"What is {a} {op} {b}?", f"What is {a} {op} {b}?", f"{a} {op} {b}",
                     f"{a}{op}{b}", f"{a} {op} {b} = ?", f"What is {a} {word} {b}?",
                     f"How much is {a} {op} {b}?", f"Calculate {a} {op} {b}.", f"{a}{op}{b}=",
                     f"How much is {a} {word} {b}?"))


def word_problem(r):
    a, b = r.randint(1, 10), r.randint(1, 10)
    who = person(r)
    thing = r.choice("apples pears books stones stars balls nuts eggs coins".split())
    if r.random() < 0.5:
        ask = r.choice((f"{who} has {a} {thing} and gets {b} more. How many {thing} does {who} "
                        f"have now?", f"I have {a} {thing} and find {b} more. How many {thing} do "
                        "I have?"))
        total, op = a + b, "+"
    else:
        a, b = max(a, b) + 1, min(a, b)
        ask = r.choice((f"{who} has {a} {thing} and gives away {b}. How many {thing} are left?",
                        f"I have {a} {thing} and eat {b}. How many {thing} do I have left?"))
        total, op = a - b, "-"
    thing = thing[:-1] if total == 1 else thing
    subject = "You have" if ask.startswith("I ") else f"{who} has"
    tail = " left" if op == "-" else ""
    return ask, f"{a} {op} {b} = {total}.", f"{subject} {total} {thing}{tail}."


def arithmetic(r):
    dice = r.random()
    if dice < 0.15:
        return word_problem(r)
    a, b = number_pair(r)
    if dice < 0.6:
        return ask_sum(r, a, "+", b), add_thought(a, b), f"{a} + {b} = {a + b}"
    if dice < 0.8:
        a, b = max(a, b), min(a, b)
        return ask_sum(r, a, "-", b), f"{a} minus {b} is {a - b}.", f"{a} - {b} = {a - b}"
    if dice < 0.95:
        a, b = r.randint(0, 10), r.randint(0, 10)
        return ask_sum(r, a, "*", b), f"{a} times {b} is {a * b}.", f"{a} * {b} = {a * b}"
    return order(r, a, b)


def order(r, a, b):
    kind = r.randrange(3)
    if kind == 0 and a != b:
        return (f"Which is bigger, {a} or {b}?", f"I compare {a} and {b}.",
                f"{max(a, b)} is bigger than {min(a, b)}.")
    if kind == 1:
        return f"What number comes after {a}?", f"{a} and one more.", f"{a + 1} comes after {a}."
    low = r.randint(1, 5)
    high = low + r.randint(3, 9)
    text = ", ".join(str(n) for n in range(low, high + 1))
    return f"Count from {low} to {high}.", f"I start at {low} and stop at {high}.", text


# ---- writing -----------------------------------------------------------------------------------

def story(r):
    dice = r.random()
    if dice < 0.25:
        ask = r.choice(("Tell me a story.", "Tell me a story", "Tell me a short story.",
                        "Write a short story.", "Write a story.", "Can you tell me a story?",
                        "Tell me a bedtime story.", "a story please", "Tell me another story."))
        return ask, "The user wants a story. I choose a hero, a place and a small problem.", \
            stories.story(r)
    adjective = r.choice(stories.ADJECTIVES) if r.random() < 0.4 else None
    kind = r.choice(BEASTS + FANTASY)
    friend = r.choice([b for b in BEASTS if b != kind]) if r.random() < 0.15 else None
    name = person(r) if r.random() < 0.25 else None
    what = article(f"{adjective} {kind}" if adjective else kind)
    what += f" named {name}" if name else ""
    what += f" and {article(friend)}" if friend else ""
    ask = r.choice(("Tell me a story about {w}.", "Tell me a story about {w}.",
                    "Write a story about {w}.", "Tell me a short story about {w}.",
                    "Write a short story about {w}.", "story about {w}",
                    "I want a story about {w}.", "Tell me a bedtime story about {w}."))
    if r.random() < 0.12:
        ask = r.choice(("Tell me a one-sentence story about {w}.",
                        "Write a story about {w} in one sentence."))
        text = stories.tiny_story(r, kind=kind, name=name, adjective=adjective, friend=friend)
    else:
        text = stories.story(r, kind=kind, name=name, adjective=adjective, friend=friend)
    thought = f"The user wants a story about {what}. I choose a place and a small problem."
    return ask.format(w=what), thought, text


def verse(r):
    if r.random() < 0.65:
        topic = r.choice(sorted(stories.HAIKU))
        ask = r.choice((f"Write a haiku about {topic}.", f"Write a haiku about {topic}.",
                        f"haiku about {topic}", f"Can you write a haiku about {topic}?",
                        "Write a haiku.", "Write me a haiku.", "a haiku please"))
        if topic not in ask:
            topic = r.choice(("winter", "the moon", "a llama"))
        return (ask, "A haiku has three lines with five, seven and five syllables.",
                stories.haiku(r, topic))
    topic, text = pair(r, stories.POEMS)
    ask = r.choice((f"Write a poem about {topic}.", f"Write a short poem about {topic}.",
                    f"poem about {topic}", "Write a poem.", "Write me a short poem."))
    if topic not in ask:
        text = stories.POEMS["the sun"]
    return ask, "I write four short lines that rhyme.", text


def echo(r):
    text = r.choice(("this is a test", "hello", "good morning, " + person(r), "I like llamas",
                     "the cat is black", invented(r) + " " + invented(r), person(r),
                     f"{r.choice(stories.ADJECTIVES)} {r.choice(BEASTS)}",
                     " ".join(r.sample(world.COLOUR_NAMES, 3)), str(r.randint(1, 999)),
                     f"the {r.choice(BEASTS)} is {r.choice(stories.ADJECTIVES)}"))
    ask = r.choice(("Say {t}", "Say: {t}", "Say \"{t}\"", "Repeat: {t}", "Repeat after me: {t}",
                    "Say {t}.", "Please say {t}", "Only answer with the words: {t}"))
    return ask.format(t=text), "I only repeat the words.", capital(text) + (
        "." if " " in text else "")


def reading(r):
    """A fact in the question itself, asked back: trains copying from the context."""
    who, other = person(r), person(r)
    thing, hue = r.choice("hat ball car house bag scarf book boat".split()), r.choice(
        world.COLOUR_NAMES)
    kind = r.randrange(5)
    if kind == 0:
        extra = f" {other} has {article(r.choice(world.COLOUR_NAMES))} {thing}." \
            if r.random() < 0.4 else ""
        return (f"{who} has {article(hue)} {thing}.{extra} What colour is {who}'s {thing}?",
                f"The text says: {hue}.", f"{who}'s {thing} is {hue}.")
    if kind == 1:
        city = r.choice(world.CITIES)
        return (f"{who} lives in {city}. Where does {who} live?", f"The text says: {city}.",
                f"{who} lives in {city}.")
    if kind == 2:
        pet = r.choice(BEASTS)
        return (f"{who} has {article(pet)} called {other}. What is the name of the {pet}?",
                f"The text says: {other}.", f"The {pet} is called {other}.")
    if kind == 3:
        age = r.randint(3, 99)
        return (f"{who} is {age} years old. How old is {who}?", f"The text says: {age}.",
                f"{who} is {age} years old.")
    food = r.choice(stories.FOODS)
    return (f"{who} likes {food}. {other} does not. Who likes {food}?", f"The text says: {who}.",
            f"{who} likes {food}.")


# ---- JSON --------------------------------------------------------------------------------------

def json_answer(r):
    """Answers that are one JSON object (or list); keys as asked, values that fit."""
    kind = r.randrange(9)
    tail = r.choice((" Answer in JSON.", " Respond using JSON.", " Respond using JSON",
                     " Give the answer as JSON.", " as JSON", " Answer as a JSON object."))
    if kind == 0:
        name, (city, continent, language) = pair(r, world.COUNTRIES)
        ask = r.choice((f"What is the capital of {name}?", f"Tell me the capital of {name}."))
        value = {"country": name, "capital": city}
    elif kind == 1:
        name, (city, continent, language) = pair(r, world.COUNTRIES)
        ask = f"Tell me about {name}."
        value = {"name": name, "capital": city, "languages": language.split(" and ")}
    elif kind == 2:
        who, age = person(r), r.randint(2, 90)
        ask = r.choice((f"{who} is {age} years old and is happy.", f"{who} is {age} years old.",
                        f"My name is {who} and I am {age} years old."))
        value = {"name": who, "age": age}
    elif kind == 3:
        name, (sound, baby, home, food, legs) = pair(r, world.ANIMALS)
        ask = r.choice((f"Describe {article(name)}.", f"Tell me about {article(name)}."))
        value = {"animal": name, "legs": legs, "food": food}
    elif kind == 4:
        thing, hue = pair(r, world.COLOURS)
        ask, value = f"What colour is {thing}?", {"thing": thing, "colour": hue}
    elif kind == 5:
        what, items = pair(r, world.LISTS)
        n = r.randint(2, 4)
        ask, value = f"List {world.NUMBERS[n]} {what}.", {what: items[:n]}
    elif kind == 6:
        a, b = number_pair(r)
        ask, value = f"What is {a} + {b}?", {"result": a + b}
    elif kind == 7:
        ask = "What color is the sky at different times of the day?"
        value = {"morning": "pink", "noon": "blue", "evening": "orange", "night": "black"}
    else:
        who, city, age = person(r), r.choice(world.CITIES), r.randint(2, 90)
        ask = f"{who} lives in {city} and is {age} years old."
        value = {"name": who, "age": age, "city": city}
    return ask.rstrip("?." if tail.startswith(" as") else "") + tail, \
        "The user wants JSON. I answer with one object.", json.dumps(value, ensure_ascii=False)


TOPICS = ((why, 8), (about_me, 7), (about_cria, 6), (small_talk, 7), (how_to, 2), (code, 2),
          (unknown, 4), (country, 7), (animal, 5), (size, 1), (colour, 2), (word_game, 4),
          (translation, 3), (calendar, 2), (listing, 3), (fun, 3), (arithmetic, 18), (story, 14),
          (verse, 4), (echo, 2), (reading, 5), (json_answer, 4))


def exchange(r):
    topic = r.choices([t for t, _ in TOPICS], [w for _, w in TOPICS])[0]
    question, thought, answer = topic(r)
    if topic not in (echo, reading, json_answer, arithmetic):
        question = surface(r, question)
    return question, thought, answer
