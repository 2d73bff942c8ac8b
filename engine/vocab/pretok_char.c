/* pretok_char.c - see pretok_char.h: the classes of ASCII, and those of the general categories. */
#include "engine/vocab/pretok_char.h"

#include "base/unicode.h"

/* clang-format off */
const unsigned char pretok_ascii_class[128] = {
    /* control characters; 9-D are white space */
    OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,
    OTHER, WS, WS, WS, WS, WS, OTHER, OTHER,
    OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,
    OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,
    /* SP ! " # $ % & ' ( ) * + , - . / */
    WS, P, P, P, S, P, P, P, P, P, P, S, P, P, P, P,
    /* 0-9 : ; < = > ? */
    N, N, N, N, N, N, N, N, N, N, P, P, S, S, S, P,
    /* @ A-Z [ \ ] ^ _ */
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, P, P, S, P,
    /* ` a-z { | } ~ DEL */
    S, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, S, P, S,
    OTHER};
/* clang-format on */

const unsigned char pretok_class_bit[8] = {[UNI_UNASSIGNED] = OTHER,
                                           [UNI_N] = N,
                                           [UNI_L] = L,
                                           [UNI_Z] = OTHER,
                                           [UNI_M] = M,
                                           [UNI_P] = P,
                                           [UNI_S] = S,
                                           [UNI_C] = OTHER};
