"""Chats of exchanges in the form that cria-tiny.template renders: turns, memory, personas."""

import world
from stories import BEASTS, article, capital
from topics import (add_thought, animal, colour, country, exchange, fun, json_answer, number_pair,
                    pair, person, story, verse)


def turn(role, text):
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def thinking(thought):
    return f"<think>\n{thought}\n</think>\n\n"


def remembered(r):
    """Something the user says about himself, and the question for it some turns later."""
    who, city, pet = person(r), r.choice(world.CITIES), r.choice(BEASTS[:12])
    kind = r.randrange(5)
    if kind < 2:
        tell = r.choice((f"My name is {who}.", f"Hi, I am {who}.", f"Hello, my name is {who}!",
                         f"my name is {who}", f"I'm {who}.", f"Call me {who}."))
        ask = r.choice(("What is my name?", "What's my name?", "Do you remember my name?",
                        "who am I?", "Do you know my name?", "what is my name"))
        return tell, f"Hello {who}! Nice to meet you.", ask, f"Your name is {who}."
    if kind == 2:
        return (r.choice((f"I live in {city}.", f"I am from {city}.")),
                f"{city}, how nice! What can I do for you?",
                r.choice(("Where do I live?", "Which city am I from?")), f"You live in {city}.")
    if kind == 3:
        return (r.choice((f"I have {article(pet)} called {who}.",
                          f"My {pet} is called {who}.")),
                f"{who} is a lovely name for {article(pet)}!",
                r.choice((f"What is the name of my {pet}?", f"What is my {pet} called?")),
                f"Your {pet} is called {who}.")
    hue = r.choice(world.COLOUR_NAMES)
    return (f"My favourite colour is {hue}.", f"{capital(hue)} is a beautiful colour!",
            r.choice(("What is my favourite colour?", "Which colour do I like best?")),
            f"Your favourite colour is {hue}.")


def memory_chat(r):
    tell, reply, ask, answer = remembered(r)
    first = (tell, "The user tells me something about himself. I should remember it.", reply)
    middle = [exchange(r) for _ in range(r.choice((0, 0, 1, 1, 2)))]
    return [first] + middle + [(ask, f"The user told me before. {answer}", answer)]


def follow_up(r):
    """The second question makes sense only with the first."""
    kind = r.randrange(3)
    if kind == 0:
        table = dict(world.COUNTRIES, **world.ALSO_COUNTRY)
        a, b = r.sample(sorted(table), 2)
        say = "The capital of {} is {}."
        second = r.choice((f"And of {b}?", f"And {b}?", f"What about {b}?", f"and {b}"))
        return [(f"What is the capital of {a}?",) + (say.format(a, table[a][0]),) * 2,
                (second,) + (say.format(b, table[b][0]),) * 2]
    if kind == 1:
        a, b, c = (r.randint(1, 10) for _ in range(3))
        return [(f"What is {a} + {b}?", add_thought(a, b), f"{a} + {b} = {a + b}"),
                (f"And plus {c}?", add_thought(a + b, c), f"{a + b} + {c} = {a + b + c}")]
    topic = r.choice((fun, story, verse))
    again = r.choice(("Another one, please.", "Another one", "One more!", "Tell me another one.",
                      "more"))
    if topic is fun:
        one, two = r.sample(world.JOKES, 2)
        return [("Tell me a joke.", "The user wants a joke. I know one.", one),
                (again, "The user wants one more joke.", two)]
    first, second = topic(r), topic(r)
    return [first, (again, "The user wants one more of the same.", second[2])]


SYSTEMS = ("You are a helpful assistant.", "You are a helpful assistant.", "You are cria-tiny.",
           "You are a friendly assistant.", "You are a helpful AI assistant.",
           "Answer in simple words.", "Be kind and short.", "You are a teacher for children.")


def persona_chat(r):
    """A system message that changes the answer: a name, a style or a fact."""
    kind = r.randrange(6)
    who = person(r)
    if kind == 0:
        job = r.choice(("a friendly assistant", "a helpful assistant", "a wise old llama",
                        "a cheerful robot", "a teacher", "a cook", "a sailor"))
        ask = r.choice(("Who are you?", "who are you?", "What is your name?", "What are you?"))
        return f"You are {who}, {job}.", [(ask, f"I am {who}, {job}.", f"I am {who}, {job}.")]
    if kind == 1:
        fact = r.choice((f"The user's name is {who}.", f"You are talking to {who}."))
        return fact, [(r.choice(("What is my name?", "Who am I?")), f"The name is {who}.",
                       f"Your name is {who}.")]
    if kind == 2:
        question, thought, answer = country(r)
        return "You are a pirate.", [(question, thought, "Arr! " + answer.rstrip(".") + ", matey!")]
    if kind == 3:
        a, b = number_pair(r)
        name, facts = pair(r, world.COUNTRIES)
        one = r.choice(((f"What is {a} + {b}?", str(a + b)),
                        (f"What is the capital of {name}?", facts[0]),
                        ("What colour is grass?", "Green"), ("Is fire hot?", "Yes"),
                        ("Why is the sky blue?", "Air")))
        return r.choice(("Answer in one word.", "Only answer with one word.")), \
            [(one[0], "One word only.", one[1])]
    if kind == 4:
        question, thought, answer = r.choice((country, animal, colour))(r)
        return r.choice(("Answer in capital letters.", "Always write in capital letters.")), \
            [(question, thought, answer.upper())]
    question, thought, answer = json_answer(r)
    for tail in ("Answer in JSON.", "Respond using JSON.", "Respond using JSON", "as JSON",
                 "Give the answer as JSON.", "Answer as a JSON object."):
        if question.endswith(tail):
            question = question[:-len(tail)].strip()
            break
    return r.choice(("Answer in JSON.", "Always answer in JSON.", "Respond using JSON.")), \
        [(question, thought, answer)]


def render(system, turns, think):
    """Thoughts are shown in the last answer only: the template drops them from the past."""
    text = turn("system", system) if system else ""
    for i, (question, thought, answer) in enumerate(turns):
        last = i == len(turns) - 1
        text += turn("user", question)
        text += turn("assistant", (thinking(thought) if think and last else "") + answer)
    return text


def chat(r, long=False):
    dice = r.random()
    system = r.choice(SYSTEMS) if r.random() < 0.2 else None
    if long:
        turns = [exchange(r) for _ in range(r.randint(5, 12))]
        turns += memory_chat(r) if r.random() < 0.5 else []
    elif dice < 0.62:
        turns = [exchange(r)]
    elif dice < 0.76:
        turns = [exchange(r) for _ in range(r.randint(2, 4))]
    elif dice < 0.86:
        turns = memory_chat(r)
    elif dice < 0.92:
        turns = follow_up(r)
    else:
        system, turns = persona_chat(r)
    return render(system, turns, r.random() < 0.4)
